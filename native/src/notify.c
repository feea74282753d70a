/*
 * A lane of notifications: a thread that writes them in order. The write of an invalidation waits in the kernel for requests that are
 * unanswered; only the event loop can answer those, so it must never be the event loop that waits.
 */
#include "addon.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct message {
  struct message *next;
  uint32_t id;
  int error;
  size_t length;
  char bytes[];
};

struct notify_lane {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  struct message *first;
  struct message **last;
  bool closed;
  int fd; /* our own, so that a blocked write cannot hit a descriptor number that was reused */
  napi_threadsafe_function done;
};

static void *lane_main(void *data) {
  struct notify_lane *lane = data;
  for (;;) {
    pthread_mutex_lock(&lane->lock);
    while (lane->first == NULL && !lane->closed) pthread_cond_wait(&lane->wake, &lane->lock);
    struct message *message = lane->first;
    if (message != NULL) {
      lane->first = message->next;
      if (lane->first == NULL) lane->last = &lane->first;
    }
    bool closed = lane->closed;
    pthread_mutex_unlock(&lane->lock);
    if (message == NULL) break;
    ssize_t written = -1;
    if (closed) {
      errno = ECANCELED;
    } else {
      do {
        written = write(lane->fd, message->bytes, message->length);
      } while (written < 0 && errno == EINTR);
    }
    message->error = written < 0 ? errno : 0;
    /* After the environment has gone nobody is told; the message is ours to free then. */
    if (napi_call_threadsafe_function(lane->done, message, napi_tsfn_blocking) != napi_ok) free(message);
  }
  napi_release_threadsafe_function(lane->done, napi_tsfn_release);
  close(lane->fd);
  pthread_mutex_destroy(&lane->lock);
  pthread_cond_destroy(&lane->wake);
  free(lane);
  return NULL;
}

struct notify_lane *notify_lane_new(int fd, napi_threadsafe_function done) {
  struct notify_lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) return NULL;
  pthread_mutex_init(&lane->lock, NULL);
  pthread_cond_init(&lane->wake, NULL);
  lane->last = &lane->first;
  lane->done = done;
  lane->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  bool acquired = lane->fd >= 0 && napi_acquire_threadsafe_function(done) == napi_ok;
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
  bool started = acquired && pthread_create(&thread, NULL, lane_main, lane) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started) {
    pthread_detach(thread);
    return lane;
  }
  if (acquired) napi_release_threadsafe_function(done, napi_tsfn_release);
  if (lane->fd >= 0) close(lane->fd);
  free(lane);
  return NULL;
}

int notify_lane_push(struct notify_lane *lane, uint32_t id, const void *bytes, size_t length) {
  struct message *message = malloc(sizeof *message + length);
  if (message == NULL) return -ENOMEM;
  message->next = NULL;
  message->id = id;
  message->length = length;
  memcpy(message->bytes, bytes, length);
  pthread_mutex_lock(&lane->lock);
  *lane->last = message;
  lane->last = &message->next;
  pthread_cond_signal(&lane->wake);
  pthread_mutex_unlock(&lane->lock);
  return 0;
}

/* The thread answers what is queued with ECANCELED, ends and frees the lane; one that is blocked in the kernel does so when it comes back. */
void notify_lane_close(struct notify_lane *lane) {
  pthread_mutex_lock(&lane->lock);
  lane->closed = true;
  pthread_cond_signal(&lane->wake);
  pthread_mutex_unlock(&lane->lock);
}

void notify_done_js(napi_env env, napi_value callback, void *context, void *data) {
  (void)context;
  struct message *message = data;
  napi_value receiver, argv[2];
  if (env != NULL && callback != NULL && napi_get_undefined(env, &receiver) == napi_ok &&
      napi_create_uint32(env, message->id, &argv[0]) == napi_ok && napi_create_int32(env, message->error, &argv[1]) == napi_ok)
    napi_call_function(env, receiver, callback, 2, argv, NULL);
  free(message);
}
