// SPDX-License-Identifier: GPL-2.0
/*
 * The host's side of the frames: sends numbered frames to the guest's network
 * device and watches the guest's memory for them.
 *
 *	frame_host RAM QEMU LOCAL FPS DIR
 *
 * RAM is the file that backs the guest's memory, QEMU and LOCAL the two
 * addresses of a "-netdev dgram" over AF_UNIX. Commands come line by line:
 *
 *	watch ADDRESS	follow the area whose header is at this guest address
 *	start		send, FPS frames a second
 *	stop		send no more
 *	quit		write DIR/sent.csv and DIR/landed.csv and end
 *
 * The end of the input counts as quit. One line a command comes back.
 *
 * Datagrams over AF_UNIX hold only a few frames in the kernel, so a device
 * that takes none is seen as a refusal (EAGAIN) within some frames; UDP would
 * hold hundreds of them and hide an outage of a second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dma_area.h"

#define MAX_FRAMES	(1000 * 1000UL)
#define WATCH_NS	300000UL
#define SECOND_NS	1000000000UL

/* How far behind the oldest empty descriptor landings are looked for. */
#define WINDOW		64

/* The memory of a q35 machine is in one piece if there is less than this. */
#define SPLIT_SIZE	0xb0000000UL
#define LOW_END		(2UL << 30)
#define HIGH_BEGIN	(4UL << 30)

struct sent {
	__u64 t_ns;
	int err;
};

struct landing {
	__u64 desc;
	__s64 seq;		/* -1 where there is no frame */
	__u64 t_ns;
	bool ok;
};

static struct sent sent[MAX_FRAMES];
static __u64 nr_sent;
static struct landing landed[MAX_FRAMES];
static __u64 nr_landed;

static const char *out_dir;
static int sock;
static __u64 period_ns;
static __u8 *ram;
static __u64 ram_size;
static __u8 *pages[AREA_PAGES];
static bool watching;
static bool sending;
static bool ending;

static void die(const char *format, ...)
{
	va_list args;

	fputs("frame_host: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static __u64 now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(__u64 t_ns)
{
	struct timespec until = {
		.tv_sec = t_ns / SECOND_NS,
		.tv_nsec = t_ns % SECOND_NS,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/*
 * A frame that was refused is not sent again: its number is missing, as it is
 * for a peer that does not repeat itself.
 */
static void send_one(void)
{
	struct dma_frame frame;
	struct sent *try = &sent[nr_sent];

	try->t_ns = now_ns(CLOCK_REALTIME);
	frame_fill(&frame, nr_sent, try->t_ns);
	try->err = 0;
	if (send(sock, &frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		try->err = errno;
	nr_sent++;
}

static void *sender(void *unused)
{
	__u64 next = now_ns(CLOCK_MONOTONIC);

	while (!is_set(&ending)) {
		__u64 now;

		next += period_ns;
		now = now_ns(CLOCK_MONOTONIC);
		/*
		 * Frames that are late are left out, not sent in a burst which
		 * the socket could refuse for a reason of its own.
		 */
		if (next < now)
			next = now;
		sleep_until(next);
		if (is_set(&sending) && nr_sent < MAX_FRAMES)
			send_one();
	}
	return NULL;
}

/*
 * Guest addresses come from the guest: a wrong one must not crash us. As in
 * ram_map.py, a machine with much memory has some of it above 4 GiB.
 */
static __u8 *guest_page(__u64 address)
{
	if (ram_size >= SPLIT_SIZE && address >= LOW_END) {
		if (address < HIGH_BEGIN)
			return NULL;
		address -= HIGH_BEGIN - LOW_END;
	}
	if (address % AREA_PAGE || address >= ram_size)
		return NULL;
	return ram + address;
}

static struct dma_area *area(void)
{
	return (struct dma_area *)pages[0];
}

static __u8 *area_memory(unsigned long offset)
{
	return pages[offset / AREA_PAGE] + offset % AREA_PAGE;
}

/* Return what is wrong with the area at @address, or NULL. */
static const char *follow(__u64 address)
{
	struct dma_area *head = (struct dma_area *)guest_page(address);
	unsigned long i, j;

	if (!head)
		return "address outside of the guest's memory";
	if (area_get(&head->magic) != AREA_MAGIC)
		return "no area at this address";

	for (i = 0; i < AREA_TABLE_PAGES; i++) {
		__u64 *table = (__u64 *)guest_page(head->table[i]);

		if (!table)
			return "table outside of the guest's memory";
		for (j = 0; j < AREA_PAGE / 8; j++) {
			__u8 *page = guest_page(table[j]);

			if (!page)
				return "page outside of the guest's memory";
			pages[i * AREA_PAGE / 8 + j] = page;
		}
	}
	if (pages[0] != (__u8 *)head)
		return "the table does not belong to this area";

	set(&watching, true);
	return NULL;
}

/* Record descriptor @number if the device is done with it. */
static bool look_at(__u64 number)
{
	__u8 *desc = area_memory(area_desc_at(number));
	struct landing *landing = &landed[nr_landed];
	struct dma_frame frame;
	__u32 *status = (__u32 *)(desc + DESC_STATUS_AT);
	__u16 length;

	if (!(__atomic_load_n(status, __ATOMIC_ACQUIRE) & DESC_DONE))
		return false;

	memcpy(&length, desc + DESC_LENGTH_AT, sizeof(length));
	memcpy(&frame, area_memory(area_buffer_at(number)), sizeof(frame));

	landing->t_ns = now_ns(CLOCK_REALTIME);
	landing->desc = number;
	landing->seq = frame.magic == FRAME_MAGIC ? (__s64)frame.seq : -1;
	landing->ok = length == sizeof(frame) && frame_valid(&frame) &&
		      frame.seq < MAX_FRAMES &&
		      frame.sent_ns == sent[frame.seq].t_ns;
	nr_landed++;
	return true;
}

/*
 * Landings are taken in order; those further on are looked for as well, so
 * that a descriptor which the device skipped does not hide the rest.
 */
static void watch(__u64 *base, bool *seen)
{
	__u64 end = *base + WINDOW, given = area_get(&area()->given);
	__u64 number;

	if (end > given)
		end = given;
	for (number = *base; number < end && nr_landed < MAX_FRAMES; number++)
		if (!seen[number % WINDOW] && look_at(number))
			seen[number % WINDOW] = true;

	for (number = *base; number < end && seen[number % WINDOW]; number++)
		seen[number % WINDOW] = false;
	if (number == *base)
		return;
	*base = number;
	area_set(&area()->watched, number);
}

static void *watcher(void *unused)
{
	__u64 next = now_ns(CLOCK_MONOTONIC);
	bool seen[WINDOW] = {};
	__u64 base = 0;

	while (!is_set(&ending)) {
		next = now_ns(CLOCK_MONOTONIC) + WATCH_NS;
		sleep_until(next);
		/* The guest clears the area when it is done with it. */
		if (is_set(&watching) &&
		    area_get(&area()->magic) == AREA_MAGIC)
			watch(&base, seen);
	}
	return NULL;
}

static void write_csv(const char *name, void (*print)(FILE *file))
{
	char path[PATH_MAX], part[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", out_dir, name);
	snprintf(part, sizeof(part), "%s/.%s.part", out_dir, name);
	file = fopen(part, "w");
	if (!file)
		die("%s: %s", part, strerror(errno));
	print(file);
	if (ferror(file) | fclose(file) || rename(part, path))
		die("%s: %s", path, strerror(errno));
}

static void print_sent(FILE *file)
{
	__u64 i;

	fputs("seq,t_ns,err\n", file);
	for (i = 0; i < nr_sent; i++)
		fprintf(file, "%llu,%llu,%d\n", i, sent[i].t_ns, sent[i].err);
}

static void print_landed(FILE *file)
{
	struct landing *end = landed + nr_landed, *l;

	fputs("desc,seq,t_ns,ok\n", file);
	for (l = landed; l < end; l++)
		fprintf(file, "%llu,%lld,%llu,%d\n", l->desc, l->seq, l->t_ns, l->ok);
}

static void map_ram(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	ram_size = st.st_size;
	ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		die("%s: too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	return address;
}

static void open_socket(const char *local, const char *qemu)
{
	struct sockaddr_un here = address_of(local), there = address_of(qemu);

	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || bind(sock, (void *)&here, sizeof(here)))
		die("%s: %s", local, strerror(errno));
	if (connect(sock, (void *)&there, sizeof(there)))
		die("%s: %s", qemu, strerror(errno));
}

/* A steady sender and watcher matter more than the guest; not a must. */
static bool run(void *(*function)(void *), int priority, pthread_t *thread)
{
	struct sched_param param = { .sched_priority = priority };
	int err = pthread_create(thread, NULL, function, NULL);

	if (err)
		die("thread: %s", strerror(err));
	return !pthread_setschedparam(*thread, SCHED_FIFO, &param);
}

static const char *obey(const char *line)
{
	if (!strncmp(line, "watch ", 6))
		return follow(strtoull(line + 6, NULL, 0));
	if (!strcmp(line, "start"))
		set(&sending, true);
	else if (!strcmp(line, "stop"))
		set(&sending, false);
	else
		return "unknown command";
	return NULL;
}

int main(int argc, char *argv[])
{
	pthread_t threads[2];
	unsigned long fps;
	char line[128];
	bool steady;

	fps = argc == 6 ? strtoul(argv[4], NULL, 10) : 0;
	if (!fps || fps > 20000)
		die("usage: frame_host RAM QEMU LOCAL FPS DIR");

	out_dir = argv[5];
	period_ns = SECOND_NS / fps;
	map_ram(argv[1]);
	open_socket(argv[3], argv[2]);
	setlinebuf(stdout);

	steady = run(sender, 20, &threads[0]) & run(watcher, 10, &threads[1]);
	printf("ready realtime=%d\n", steady);

	while (fgets(line, sizeof(line), stdin)) {
		const char *problem;

		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "quit"))
			break;
		problem = obey(line);
		printf("%s: %s\n", line, problem ? problem : "ok");
	}

	set(&ending, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	write_csv("sent.csv", print_sent);
	write_csv("landed.csv", print_landed);
	printf("quit: sent=%llu landed=%llu\n", nr_sent, nr_landed);
	return 0;
}
