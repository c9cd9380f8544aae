/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SELFTESTS_LIVEUPDATE_IOMMU_ACPI_INITRD_H
#define SELFTESTS_LIVEUPDATE_IOMMU_ACPI_INITRD_H

/*
 * Let the next kexec go into the kernel of the RAM disk, which finds an IOMMU
 * unit for no device at all: its DMAR table says so. Ends the program if that
 * cannot be done. The words of vmtest.next are given to it as ever.
 */
void acpi_initrd_load_without_devices(void);

#endif /* SELFTESTS_LIVEUPDATE_IOMMU_ACPI_INITRD_H */
