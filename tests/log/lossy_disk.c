/* A disk that loses what was not synced.

   Preloaded into a process, it remembers every write and truncation of files below LOSSY_DIRECTORY until the file is synced. At the
   LOSSY_CRASH_AT-th call that it sees it takes all of them back, puts a random part of them down again (a disk keeps what it likes of
   what nobody told it to keep; seed LOSSY_SEED), and ends the process at once, as a power cut does. Names of files are taken as durable. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct change {
  struct change *next;
  dev_t device;
  ino_t inode;
  int file;        /* our own descriptor of the file */
  off_t offset;    /* where the write began; for a truncation the new size */
  off_t old_size;
  char *old;       /* the bytes from offset on, before the change */
  size_t old_count;
  char *new;       /* the bytes written; NULL for a truncation */
  size_t new_count;
};

static struct change *newest;
static long countdown = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_write = dlsym(RTLD_NEXT, "write");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  if (getenv("LOSSY_CRASH_AT")) countdown = atol(getenv("LOSSY_CRASH_AT"));
  srandom(getenv("LOSSY_SEED") ? atoi(getenv("LOSSY_SEED")) : 1);
}

/* Whether the descriptor is of a file that we watch; the index of the write-ahead log is memory, not disk. */
static int watched(int file, struct stat *status) {
  char link[64], path[4096];
  const char *directory = getenv("LOSSY_DIRECTORY");
  int length = 0;
  if (!directory || fstat(file, status) || !S_ISREG(status->st_mode)) return 0;
  strcpy(link, "/proc/self/fd/");
  for (int rest = file, digits = 1; ; rest /= 10, digits++) {
    if (rest < 10) {
      for (int place = digits, value = file; place > 0; place--, value /= 10) link[13 + place] = '0' + value % 10;
      link[14 + digits] = 0;
      break;
    }
  }
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return !strncmp(path, directory, strlen(directory)) && !strstr(path, "-shm");
}

static struct change *remember(int file, const struct stat *status, off_t offset, const void *data, size_t count) {
  struct change *change = calloc(1, sizeof *change);
  change->device = status->st_dev;
  change->inode = status->st_ino;
  change->file = fcntl(file, F_DUPFD_CLOEXEC, 100);
  change->offset = offset;
  change->old_size = status->st_size;
  change->old_count = status->st_size > offset ? status->st_size - offset : 0;
  if (data && change->old_count > count) change->old_count = count;
  change->old = malloc(change->old_count + 1);
  pread(file, change->old, change->old_count, offset);
  if (data) {
    change->new = malloc(count + 1);
    memcpy(change->new, data, count);
    change->new_count = count;
  }
  change->next = newest;
  newest = change;
  return change;
}

static void forget(const struct stat *status) {
  for (struct change **link = &newest; *link;) {
    struct change *change = *link;
    if (change->device == status->st_dev && change->inode == status->st_ino) {
      *link = change->next;
      close(change->file);
      free(change->old);
      free(change->new);
      free(change);
    } else {
      link = &change->next;
    }
  }
}

static void crash(void) {
  struct change *oldest = NULL;
  while (newest) {
    struct change *change = newest;
    newest = change->next;
    real_pwrite(change->file, change->old, change->old_count, change->offset);
    real_ftruncate(change->file, change->old_size);
    change->next = oldest;
    oldest = change;
  }
  int keep = random() % 3; /* of ten: none, half, or most */
  for (struct change *change = oldest; change; change = change->next) {
    if (random() % 10 >= (keep == 0 ? 0 : keep == 1 ? 5 : 9)) continue;
    if (change->new) real_pwrite(change->file, change->new, change->new_count, change->offset);
    else real_ftruncate(change->file, change->offset);
  }
  _exit(9);
}

static void count_down(void) {
  if (countdown > 0 && --countdown == 0) crash();
}

ssize_t pwrite64(int file, const void *data, size_t count, off_t offset) {
  struct stat status;
  pthread_mutex_lock(&mutex);
  if (watched(file, &status)) {
    count_down();
    remember(file, &status, offset, data, count);
  }
  ssize_t result = real_pwrite(file, data, count, offset);
  pthread_mutex_unlock(&mutex);
  return result;
}

ssize_t pwrite(int file, const void *data, size_t count, off_t offset) { return pwrite64(file, data, count, offset); }

ssize_t write(int file, const void *data, size_t count) {
  struct stat status;
  pthread_mutex_lock(&mutex);
  if (watched(file, &status)) {
    count_down();
    remember(file, &status, lseek(file, 0, SEEK_CUR), data, count);
  }
  ssize_t result = real_write(file, data, count);
  pthread_mutex_unlock(&mutex);
  return result;
}

int ftruncate64(int file, off_t size) {
  struct stat status;
  pthread_mutex_lock(&mutex);
  if (watched(file, &status)) {
    count_down();
    remember(file, &status, size, NULL, 0);
  }
  int result = real_ftruncate(file, size);
  pthread_mutex_unlock(&mutex);
  return result;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int synced(int file, int (*sync)(int)) {
  struct stat status;
  pthread_mutex_lock(&mutex);
  int ours = watched(file, &status);
  if (ours) count_down();
  int result = sync(file);
  if (ours && result == 0) forget(&status);
  pthread_mutex_unlock(&mutex);
  return result;
}

int fsync(int file) { return synced(file, real_fsync); }

int fdatasync(int file) { return synced(file, real_fdatasync); }
