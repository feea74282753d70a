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
  struct result result;
  struct message *next;
  napi_deferred deferred;
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
  struct hub *hub;
};

static void message_deliver(napi_env env, struct result *result) {
  struct message *message = (struct message *)result;
  if (env != NULL) napi_resolve_deferred(env, message->deferred, make_int(env, message->error));
  free(message);
}

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
    hub_post(lane->hub, &message->result);
  }
  hub_drop(lane->hub);
  close(lane->fd);
  pthread_mutex_destroy(&lane->lock);
  pthread_cond_destroy(&lane->wake);
  free(lane);
  return NULL;
}

struct notify_lane *notify_lane_new(int fd, struct hub *hub) {
  struct notify_lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) return NULL;
  pthread_mutex_init(&lane->lock, NULL);
  pthread_cond_init(&lane->wake, NULL);
  lane->last = &lane->first;
  lane->hub = hub;
  lane->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  hub_hold(hub);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
  bool started = lane->fd >= 0 && pthread_create(&thread, NULL, lane_main, lane) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started) {
    pthread_detach(thread);
    return lane;
  }
  hub_drop(hub);
  if (lane->fd >= 0) close(lane->fd);
  free(lane);
  return NULL;
}

int notify_lane_push(struct notify_lane *lane, const void *bytes, size_t length, napi_deferred deferred) {
  struct message *message = malloc(sizeof *message + length);
  if (message == NULL) return -ENOMEM;
  message->result.awaited = false;
  message->result.deliver = message_deliver;
  message->next = NULL;
  message->deferred = deferred;
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
