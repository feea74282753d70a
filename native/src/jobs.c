/*
 * System calls that may wait for the daemon itself (umount2 asks it to sync) or for another process, each on a thread of its own: never
 * on the event loop, which has to serve them, and never in libuv's pool, which a few of them would fill.
 */
#include "addon.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

struct job {
  struct result base;
  int64_t (*run)(struct job *);
  int64_t result;
  char *text[4];
  unsigned long flags;
  int fd;
  napi_deferred deferred;
  struct hub *hub;
};

static void job_free(struct job *job) {
  for (size_t i = 0; i < sizeof job->text / sizeof job->text[0]; i++) free(job->text[i]);
  free(job);
}

static void job_deliver(napi_env env, struct result *result) {
  struct job *job = (struct job *)result;
  if (env != NULL) napi_resolve_deferred(env, job->deferred, make_int(env, job->result));
  job_free(job);
}

static void *job_main(void *data) {
  struct job *job = data;
  struct hub *hub = job->hub;
  job->result = job->run(job);
  hub_post(hub, &job->base);
  hub_drop(hub);
  return NULL;
}

/* Starts the job; the promise resolves with its result. */
static napi_value job_start(napi_env env, struct job *job) {
  napi_value promise;
  pthread_t thread;
  sigset_t all, before;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) {
    job_free(job);
    napi_throw_error(env, NULL, "curvefs: cannot make a promise");
    return NULL;
  }
  job->base.deliver = job_deliver;
  job->base.awaited = true;
  job->hub = hub_get(env);
  hub_hold(job->hub);
  hub_await(job->hub);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&thread, NULL, job_main, job);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed == 0) {
    pthread_detach(thread);
  } else {
    struct hub *hub = job->hub;
    job->result = -failed;
    hub_post(hub, &job->base);
    hub_drop(hub);
  }
  return promise;
}

/* A copy of a Buffer as a C string. */
static char *get_text(napi_env env, napi_value value) {
  void *bytes;
  size_t length;
  if (napi_get_buffer_info(env, value, &bytes, &length) != napi_ok) return NULL;
  return strndup(bytes, length);
}

static int64_t run_mount(struct job *job) {
  int failed = mount(job->text[0], job->text[1], job->text[2], job->flags, job->text[3]);
  return failed == 0 ? 0 : -errno;
}

/* mount(source, target, type, flags, data): the strings as Buffers. */
napi_value job_mount(napi_env env, napi_callback_info info) {
  static const size_t place[4] = {0, 1, 2, 4};
  size_t argc = 5;
  napi_value argv[5];
  uint32_t flags;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_uint32(env, argv[3], &flags));
  struct job *job = calloc(1, sizeof *job);
  bool complete = job != NULL;
  for (size_t i = 0; complete && i < 4; i++) complete = (job->text[i] = get_text(env, argv[place[i]])) != NULL;
  if (!complete) {
    if (job != NULL) job_free(job);
    napi_throw_type_error(env, NULL, "curvefs: mount(source, target, type, flags, data)");
    return NULL;
  }
  job->run = run_mount;
  job->flags = flags;
  return job_start(env, job);
}

static int64_t run_umount(struct job *job) { return umount2(job->text[0], (int)job->flags) == 0 ? 0 : -errno; }

/* umount(target, flags) */
napi_value job_umount(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  uint32_t flags;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_uint32(env, argv[1], &flags));
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL || (job->text[0] = get_text(env, argv[0])) == NULL) {
    free(job);
    napi_throw_type_error(env, NULL, "curvefs: umount(target, flags)");
    return NULL;
  }
  job->run = run_umount;
  job->flags = flags;
  return job_start(env, job);
}

/* fusermount3 sends the descriptor with one byte; end of file without it is its failure, told on stderr. */
static int64_t run_recv_fd(struct job *job) {
  char byte;
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  ssize_t got;
  do {
    got = recvmsg(job->fd, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (got == 0 || header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -ENODATA;
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

/* recvFd(socket): a descriptor, close-on-exec. */
napi_value job_recv_fd(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int fd;
  CHECK(napi_get_cb_info(env, info, &argc, argv, NULL, NULL));
  CHECK(napi_get_value_int32(env, argv[0], &fd));
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    napi_throw_error(env, NULL, "curvefs: out of memory");
    return NULL;
  }
  job->run = run_recv_fd;
  job->fd = fd;
  return job_start(env, job);
}
