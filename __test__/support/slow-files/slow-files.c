/*
 * Preloaded into a process, makes calls hang that name certain files, as a file system that hangs would. SLOW_FILES holds
 * parts of their paths, separated by colons; it is read at each call, so that a process can start with files that
 * respond. A call that hangs first writes a byte to descriptor 3, and continues once the other end of descriptor 4 is
 * closed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hang(void) {
  char byte = 0;
  ssize_t count = write(3, &byte, 1);
  do {
    count = read(4, &byte, 1);
  } while (count > 0 || (count < 0 && errno == EINTR));
}

static void wait_for(const char *path) {
  const char *list = getenv("SLOW_FILES");
  if (path == NULL || list == NULL) return;
  while (*list != '\0') {
    size_t length = strcspn(list, ":");
    if (length > 0 && memmem(path, strlen(path), list, length) != NULL) {
      hang();
      return;
    }
    list += length;
    list += *list == ':';
  }
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WITH_MODE(flags) (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE)

#define OPEN(name)                              \
  int name(const char *path, int flags, ...) {  \
    mode_t mode = 0;                            \
    if (WITH_MODE(flags)) {                     \
      va_list rest;                             \
      va_start(rest, flags);                    \
      mode = va_arg(rest, mode_t);              \
      va_end(rest);                             \
    }                                           \
    wait_for(path);                             \
    return NEXT(name)(path, flags, mode);       \
  }

#define OPENAT(name)                                           \
  int name(int directory, const char *path, int flags, ...) {  \
    mode_t mode = 0;                                           \
    if (WITH_MODE(flags)) {                                    \
      va_list rest;                                            \
      va_start(rest, flags);                                   \
      mode = va_arg(rest, mode_t);                             \
      va_end(rest);                                            \
    }                                                          \
    wait_for(path);                                            \
    return NEXT(name)(directory, path, flags, mode);           \
  }

OPEN(open)
OPENAT(openat)
#ifdef __GLIBC__
OPEN(open64)
OPENAT(openat64)
#endif

int stat(const char *restrict path, struct stat *restrict found) {
  wait_for(path);
  return NEXT(stat)(path, found);
}

int lstat(const char *restrict path, struct stat *restrict found) {
  wait_for(path);
  return NEXT(lstat)(path, found);
}

int statx(int directory, const char *restrict path, int flags, unsigned mask, struct statx *restrict found) {
  wait_for(path);
  return NEXT(statx)(directory, path, flags, mask, found);
}

int rename(const char *from, const char *to) {
  wait_for(to);
  return NEXT(rename)(from, to);
}
