/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_KERNEL_COPY_H
#define SELFTESTS_LIVEUPDATE_IOMMU_KERNEL_COPY_H

/*
 * The kernel and the initial RAM disk that kexec loads, in memory that crosses a
 * live update. The RAM disk of a second kernel does not have them: it would have
 * to hold itself.
 */
struct kernel_copy {
	int kernel;
	int initrd;
};

/* Each of these ends the program if it cannot do its part. */

/* Copy both from the RAM disk of the first kernel. */
void kernel_copy_take(struct kernel_copy *copy);

/* Preserve both in a session. */
void kernel_copy_save(const struct kernel_copy *copy, int session);

/* Get them back, to be used when the session is finished. */
void kernel_copy_find(struct kernel_copy *copy, int session);

/* Let the next kexec go into them, with the command line of this kernel. */
void kernel_copy_load(const struct kernel_copy *copy);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_KERNEL_COPY_H */
