/* Preloaded into a process: counts its changes of files below one folder, and kills it, or fails, at one of them.
 *
 *     cc -shared -fPIC -O1 -o faults.so faults.c -ldl
 *
 * The counter lies in memory that forked children share. Nothing happens before faults_arm() is called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 0, KILL = -1 }; /* else an errno */

static struct {
    _Atomic long count;
    char hit[2 * PATH_MAX]; /* what the operation was that failed */
} *shared;
static char folder[PATH_MAX];
static size_t length;
static long at;    /* the first operation is number 1 */
static int fault;  /* COUNT, KILL or an errno */
static int sticky; /* whether all later ones fail too, as on a full disk */
static int log_fd = -1;
static int ask_fd = -1, go_fd = -1; /* before each operation it asks, and waits until it may go on */
static __thread int inside; /* what this file itself calls is not counted */

__attribute__((constructor)) static void begin(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void faults_arm(const char *below, long number, int what, int again, int log) {
    strncpy(folder, below, sizeof folder - 1);
    at = number, fault = what, sticky = again, log_fd = log;
    shared->count = 0;
    shared->hit[0] = 0;
    length = strlen(folder);
}

void faults_ask(int ask, int go) { ask_fd = ask, go_fd = go; }

long faults_count(void) { return shared->count; }
const char *faults_hit(void) { return shared->hit; }

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int below(int dir, const char *path, char *whole) {
    if (!length || !path) return 0;
    ssize_t n = 0;
    if (path[0] != '/') {
        char link[64];
        if (dir == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        n = readlink(link, whole, PATH_MAX - 2);
        if (n < 0) return 0;
        whole[n++] = '/';
    }
    snprintf(whole + n, PATH_MAX - n, "%s", path);
    return !strncmp(whole, folder, length) && (whole[length] == '/' || !whole[length]);
}

static int fails(const char *operation, int dir, const char *path) {
    char whole[PATH_MAX + 8];
    int kept = errno, failed = 0;
    if (inside || !below(dir, path, whole)) return errno = kept, 0;
    long number = ++shared->count;
    inside = 1;
    if (log_fd >= 0) dprintf(log_fd, "%ld %s %s\n", number, operation, whole);
    if (ask_fd >= 0) {
        char byte = 0;
        if (write(ask_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) != 1) _exit(71);
    }
    if (fault != COUNT && (number == at || (sticky && number > at))) {
        if (number == at) snprintf(shared->hit, sizeof shared->hit, "%s %s", operation, whole);
        if (fault == KILL) kill(getpid(), SIGKILL);
        failed = 1;
    }
    inside = 0;
    errno = failed ? fault : kept;
    return failed;
}

static int fd_fails(const char *operation, int fd) {
    if (!length || inside) return 0;
    char link[64], path[PATH_MAX];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (n <= 0) return 0;
    path[n] = 0;
    return path[0] == '/' && fails(operation, AT_FDCWD, path);
}

#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND))
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        if (WRITES(flags) && fails("open", AT_FDCWD, path)) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags) \
        if (WRITES(flags) && fails("open", dir, path)) return -1; \
        return real(dir, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define PATHS(name, what, declared, given, dir, path) \
    int name declared { \
        REAL(name); \
        return fails(what, dir, path) ? -1 : real given; \
    }
PATHS(creat, "open", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
PATHS(creat64, "open", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
PATHS(rename, "rename", (const char *old, const char *new), (old, new), AT_FDCWD, new)
PATHS(renameat, "rename", (int from, const char *old, int to, const char *new), (from, old, to, new), to, new)
PATHS(renameat2, "rename", (int from, const char *old, int to, const char *new, unsigned flags),
      (from, old, to, new, flags), to, new)
PATHS(link, "link", (const char *old, const char *new), (old, new), AT_FDCWD, new)
PATHS(linkat, "link", (int from, const char *old, int to, const char *new, int flags), (from, old, to, new, flags), to, new)
PATHS(symlink, "symlink", (const char *old, const char *new), (old, new), AT_FDCWD, new)
PATHS(symlinkat, "symlink", (const char *old, int to, const char *new), (old, to, new), to, new)
PATHS(unlink, "unlink", (const char *path), (path), AT_FDCWD, path)
PATHS(unlinkat, "unlink", (int dir, const char *path, int flags), (dir, path, flags), dir, path)
PATHS(remove, "unlink", (const char *path), (path), AT_FDCWD, path)
PATHS(rmdir, "rmdir", (const char *path), (path), AT_FDCWD, path)
PATHS(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
PATHS(mkdirat, "mkdir", (int dir, const char *path, mode_t mode), (dir, path, mode), dir, path)
PATHS(chmod, "chmod", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
PATHS(fchmodat, "chmod", (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags), dir, path)
PATHS(truncate, "truncate", (const char *path, off_t size), (path, size), AT_FDCWD, path)
PATHS(truncate64, "truncate", (const char *path, off64_t size), (path, size), AT_FDCWD, path)
PATHS(utimensat, "utime", (int dir, const char *path, const struct timespec times[2], int flags),
      (dir, path, times, flags), dir, path)

#define FILES(type, name, what, declared, given, fd) \
    type name declared { \
        REAL(name); \
        return fd_fails(what, fd) ? (type)-1 : real given; \
    }
FILES(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size), fd)
FILES(ssize_t, writev, "write", (int fd, const struct iovec *parts, int num), (fd, parts, num), fd)
FILES(ssize_t, pwrite, "write", (int fd, const void *data, size_t size, off_t place), (fd, data, size, place), fd)
FILES(ssize_t, pwrite64, "write", (int fd, const void *data, size_t size, off64_t place), (fd, data, size, place), fd)
FILES(ssize_t, pwritev, "write", (int fd, const struct iovec *parts, int num, off_t place), (fd, parts, num, place), fd)
FILES(ssize_t, pwritev64, "write", (int fd, const struct iovec *parts, int num, off64_t place), (fd, parts, num, place), fd)
FILES(ssize_t, sendfile, "write", (int fd, int from, off_t *place, size_t size), (fd, from, place, size), fd)
FILES(ssize_t, sendfile64, "write", (int fd, int from, off64_t *place, size_t size), (fd, from, place, size), fd)
FILES(ssize_t, copy_file_range, "write",
      (int from, off64_t *there, int fd, off64_t *place, size_t size, unsigned flags),
      (from, there, fd, place, size, flags), fd)
FILES(int, ftruncate, "truncate", (int fd, off_t size), (fd, size), fd)
FILES(int, ftruncate64, "truncate", (int fd, off64_t size), (fd, size), fd)
FILES(int, fallocate, "truncate", (int fd, int mode, off_t place, off_t size), (fd, mode, place, size), fd)
FILES(int, fsync, "fsync", (int fd), (fd), fd)
FILES(int, fdatasync, "fsync", (int fd), (fd), fd)
FILES(int, fchmod, "chmod", (int fd, mode_t mode), (fd, mode), fd)
FILES(int, futimens, "utime", (int fd, const struct timespec times[2]), (fd, times), fd)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        if (strpbrk(mode, "wa+") && fails("open", AT_FDCWD, path)) return NULL; \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

int posix_fallocate(int fd, off_t place, off_t size) {
    REAL(posix_fallocate);
    return fd_fails("truncate", fd) ? errno : real(fd, place, size);
}
int posix_fallocate64(int fd, off64_t place, off64_t size) {
    REAL(posix_fallocate64);
    return fd_fails("truncate", fd) ? errno : real(fd, place, size);
}
