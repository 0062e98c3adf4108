/* server.c - the service under test.
 *
 * A tiny service that becomes ready in a known way at a known instant and
 * writes that instant (CLOCK_MONOTONIC ns, the clock of time.monotonic_ns())
 * into a shared-memory slot, so the harness needs no extra pipe to learn it.
 *
 * Build: gcc -O2 -static -o server server.c   (services.py does it)
 *
 *   --kind K        tcp | http | http503 | unix | banner | file | notify | none
 *                   http    : nothing listens until ready, then 200 at once
 *                   http503 : listens at once, answers 503 until ready
 *   --delay-ms F    how long after main() it becomes ready
 *   --port N        TCP port (127.0.0.1)
 *                   notify  : sends READY=1 to $NOTIFY_SOCKET
 *   --path P        unix socket or pid file
 *   --stamp F       slot file (mmap), --slot K the slot used (128 bytes each)
 *   --banner S      line printed when ready (kind banner)
 *   --pre-bytes N   log lines written to stdout before becoming ready
 *   --post-bytes N  log burst written to stdout after becoming ready
 *   --post-rate N   bytes per second written to stdout after becoming ready
 *   --die N         at the ready instant exit with status N instead (stamps word 1)
 *   --exit-ms F     time between SIGTERM and _exit (0: at once; -1: ignore)
 *   --life S        alarm(S): never outlive the harness (default 120)
 *
 * Slot words (u64): 0 main  1 just before the readiness syscall  2 just after
 * it  3 signal seen  4 just before _exit  5 bytes written to stdout  6 pid
 * 7 connections accepted  8 requests answered  9 signal number
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t *slot;
static double exit_ms = 0;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void sleep_until(uint64_t ns) {
  struct timespec t = {ns / 1000000000ull, ns % 1000000000ull};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

static void on_signal(int sig) {
  if (!slot[3]) slot[3] = now();
  slot[9] = sig;
  if (exit_ms < 0) return;
  if (exit_ms > 0) sleep_until(slot[3] + (uint64_t)(exit_ms * 1e6));
  slot[4] = now();
  _exit(0);
}

static void put(const char *p, size_t n) {
  while (n) {
    ssize_t w = write(1, p, n);
    if (w < 0) { if (errno == EINTR) continue; return; }
    slot[5] += w; p += w; n -= w;
  }
}

/* n bytes of 100-byte log lines, in 64 KiB writes */
static void spew(uint64_t n) {
  static char buf[65600];
  static int filled;
  if (!filled) {
    for (int i = 0; i < (int)sizeof buf; i++) buf[i] = i % 100 == 99 ? '\n' : 'a' + i % 23;
    filled = 1;
  }
  while (n) { size_t k = n < 65600 ? n : 65600; put(buf, k); n -= k; }
}

#define MAXC 256
static struct pollfd pf[MAXC];
static char rb[MAXC][2048];
static int rn[MAXC];

int main(int argc, char **argv) {
  uint64_t t0 = now();
  const char *kind = "none", *path = NULL, *stamp = NULL, *banner = "READY";
  double delay = 0; int port = 0, k = 0, life = 120, die = 0;
  uint64_t pre = 0, post = 0, rate = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *a = argv[i], *v = argv[i + 1];
    if (!strcmp(a, "--kind")) kind = v;
    else if (!strcmp(a, "--delay-ms")) delay = atof(v);
    else if (!strcmp(a, "--port")) port = atoi(v);
    else if (!strcmp(a, "--path")) path = v;
    else if (!strcmp(a, "--stamp")) stamp = v;
    else if (!strcmp(a, "--slot")) k = atoi(v);
    else if (!strcmp(a, "--banner")) banner = v;
    else if (!strcmp(a, "--pre-bytes")) pre = strtoull(v, 0, 10);
    else if (!strcmp(a, "--post-bytes")) post = strtoull(v, 0, 10);
    else if (!strcmp(a, "--post-rate")) rate = strtoull(v, 0, 10);
    else if (!strcmp(a, "--exit-ms")) exit_ms = atof(v);
    else if (!strcmp(a, "--life")) life = atoi(v);
    else if (!strcmp(a, "--die")) die = atoi(v);
    else { fprintf(stderr, "unknown option %s\n", a); return 2; }
  }
  if (!stamp) { fprintf(stderr, "--stamp is required\n"); return 2; }
  int sf = open(stamp, O_RDWR);
  if (sf < 0) { perror(stamp); return 2; }
  off_t base = (off_t)k * 128, page = base & ~4095L;
  char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, sf, page);
  if (m == MAP_FAILED) { perror("mmap"); return 2; }
  close(sf);
  slot = (volatile uint64_t *)(m + (base - page));
  slot[6] = getpid();
  slot[0] = t0;
  alarm(life);
  signal(SIGPIPE, SIG_IGN);
  struct sigaction sa = {.sa_handler = on_signal};
  sigaction(SIGTERM, &sa, 0); sigaction(SIGINT, &sa, 0); sigaction(SIGHUP, &sa, 0);

  uint64_t ready = t0 + (uint64_t)(delay * 1e6);
  int tcp = !strcmp(kind, "tcp"), h503 = !strcmp(kind, "http503");
  int http = h503 || !strcmp(kind, "http"), un = !strcmp(kind, "unix");
  if (pre) spew(pre);
  if (!h503) sleep_until(ready);
  if (die) { slot[1] = now(); _exit(die); }

  int ls = -1;
  if (tcp || http) {
    ls = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in sa4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(ls, (void *)&sa4, sizeof sa4)) { perror("bind"); return 3; }
  } else if (un) {
    ls = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un su = {.sun_family = AF_UNIX};
    strncpy(su.sun_path, path, sizeof su.sun_path - 1);
    if (bind(ls, (void *)&su, sizeof su)) { perror("bind"); return 3; }
  }
  slot[1] = h503 ? ready : now();
  if (ls >= 0) {
    if (listen(ls, 128)) { perror("listen"); return 3; }
  } else if (!strcmp(kind, "banner")) {
    char line[300];
    int n = snprintf(line, sizeof line, "%s\n", banner);
    slot[1] = now();
    put(line, n);
  } else if (!strcmp(kind, "file")) {
    char line[32];
    int n = snprintf(line, sizeof line, "%d\n", getpid());
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (f < 0 || write(f, line, n) != n) { perror(path); return 3; }
    close(f);
  } else if (!strcmp(kind, "notify")) {
    const char *to = getenv("NOTIFY_SOCKET");
    struct sockaddr_un su = {.sun_family = AF_UNIX};
    size_t n = to ? strlen(to) : 0;
    if (!n || n >= sizeof su.sun_path) { fprintf(stderr, "no NOTIFY_SOCKET\n"); return 3; }
    memcpy(su.sun_path, to, n);
    if (su.sun_path[0] == '@') su.sun_path[0] = 0;
    int f = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    slot[1] = now();
    if (sendto(f, "READY=1", 7, 0, (void *)&su, offsetof(struct sockaddr_un, sun_path) + n) < 0) {
      perror("NOTIFY_SOCKET"); return 3;
    }
    close(f);
  }
  slot[2] = h503 ? ready : now();

  if (post) spew(post);
  uint64_t tick = now(), nf = 0;
  if (ls >= 0) { pf[0].fd = ls; pf[0].events = POLLIN; nf = 1; }
  for (;;) {
    int r = poll(pf, nf, rate ? 10 : -1);
    if (rate) { uint64_t t = now(); spew(rate * (t - tick) / 1000000000ull); tick = t; }
    if (r <= 0) continue;
    if (pf[0].revents) {
      int c = accept4(ls, 0, 0, SOCK_CLOEXEC);
      if (c >= 0) {
        slot[7]++;
        if (!http || nf == MAXC) close(c);
        else {
          int one = 1;
          setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          pf[nf] = (struct pollfd){.fd = c, .events = POLLIN}; rn[nf++] = 0;
        }
      }
    }
    for (uint64_t i = 1; i < nf; i++) {
      if (!pf[i].revents) continue;
      ssize_t n = read(pf[i].fd, rb[i] + rn[i], sizeof rb[i] - 1 - rn[i]);
      int shut = n <= 0;
      if (!shut) {
        rn[i] += n; rb[i][rn[i]] = 0;
        if (strstr(rb[i], "\r\n\r\n")) {
          int keep = !strcasestr(rb[i], "connection: close");
          char out[160];
          int len = snprintf(out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n",
              now() >= ready ? "200 OK" : "503 Service Unavailable",
              keep ? "" : "Connection: close\r\n");
          if (write(pf[i].fd, out, len) != len) shut = 1;
          slot[8]++; rn[i] = 0;
          if (!keep) shut = 1;
        }
      }
      if (shut) {
        close(pf[i].fd);
        nf--; pf[i] = pf[nf]; rn[i] = rn[nf]; memcpy(rb[i], rb[nf], sizeof rb[i]); i--;
      }
    }
  }
}
