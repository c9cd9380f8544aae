// SPDX-License-Identifier: GPL-2.0
/* Read a VT-d unit's invalidation queue. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <libliveupdate.h>

#include "inval_queue.h"

#define QUEUE		"/sys/kernel/debug/iommu/intel/invalidation_queue"
#define QUEUE_LENGTH	256

/*
 * After two lines of headings comes one line a descriptor: its index, two or
 * four words, and whether it is done. The first word has it all: type in bits
 * 3:0, granularity in 5:4, domain id in 31:16.
 */
static int queue_read(unsigned long long *descriptors)
{
	FILE *file = fopen(QUEUE, "r");
	unsigned long long word;
	int index, tail = -1;
	char line[256];

	if (!file)
		fail_exit("%s", QUEUE);
	while (fgets(line, sizeof(line), file)) {
		if (tail < 0) {
			if (sscanf(line, " Base: %*s Head: %*d Tail: %d",
				   &tail) != 1)
				tail = -1;
			continue;
		}
		if (sscanf(line, "%d %llx", &index, &word) == 2 &&
		    index >= 0 && index < QUEUE_LENGTH && descriptors)
			descriptors[index] = word;
	}
	fclose(file);
	if (tail < 0 || tail >= QUEUE_LENGTH)
		fail_exit("no queue in %s", QUEUE);
	return tail;
}

int inval_queue_tail(void)
{
	return queue_read(NULL);
}

int inval_queue_since(int tail, struct inval *found, int size)
{
	unsigned long long descriptors[QUEUE_LENGTH] = {};
	int end = queue_read(descriptors), count = 0;

	for (; tail != end; tail = (tail + 1) % QUEUE_LENGTH) {
		unsigned long long word = descriptors[tail];
		struct inval inval = {
			.type = word & 0xf,
			.granularity = word >> 4 & 3,
			.did = word >> 16 & 0xffff,
		};

		if (inval.type == INVAL_WAIT || inval.type == INVAL_INTERRUPT)
			continue;
		if (count < size)
			found[count] = inval;
		count++;
	}
	return count;
}
