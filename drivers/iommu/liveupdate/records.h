/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The records that one kernel leaves to the next: writer, reader, and what both
 * of them know. Private to drivers/iommu.
 */
#ifndef __IOMMU_LIVEUPDATE_RECORDS_H
#define __IOMMU_LIVEUPDATE_RECORDS_H

#include <linux/kho/abi/iommu.h>
#include <linux/types.h>

struct iommu_incoming;
struct iommu_records;
struct xarray;

/**
 * struct iommu_record_kind - What is the same for all records of a kind
 * @name: For messages
 * @size: Bytes of a record
 * @per_page: Places in a page
 * @max: Most records of the kind
 */
struct iommu_record_kind {
	const char *name;
	u32 size;
	u32 per_page;
	u32 max;
};

extern const struct iommu_record_kind iommu_record_kinds[IOMMU_SER_NR_KINDS];

/* Place @slot of @page. All records begin with their id. */
static inline u32 *iommu_record_at(struct iommu_ser_page *page,
				   unsigned int kind, u32 slot)
{
	return (void *)(page + 1) + slot * iommu_record_kinds[kind].size;
}

static inline bool iommu_intel_ser_scalable(const struct iommu_intel_ser *intel)
{
	return intel->rtaddr & IOMMU_INTEL_SER_RTADDR_SMT;
}

/* A register that points to a table has other facts in its low bits. */
static inline u64 iommu_ser_page_address(u64 reg)
{
	return reg & ~(u64)(PAGE_SIZE - 1);
}

static inline u64 iommu_ser_page_flags(u64 reg)
{
	return reg & (PAGE_SIZE - 1);
}

/* record_check.c: one record, or two of them, without any other */
int iommu_record_check(unsigned int kind, const void *record, const char **why);
bool iommu_record_conflict(unsigned int kind, const void *a, const void *b);
bool iommu_record_mock_known(void);
unsigned int iommu_record_nr_rids(const struct iommu_device_ser *device);
u16 iommu_record_rid(const struct iommu_device_ser *device, unsigned int i);
u16 iommu_record_segment(const struct iommu_hw_ser *unit);
u64 iommu_record_unit_key(const struct iommu_hw_ser *unit);
unsigned int iommu_record_context_table(const struct iommu_intel_ser *intel,
					u16 rid);

/* record_pages.c: one list in memory of this kernel's own. No locks, no checks */
u32 *iommu_ser_list_find(struct iommu_ser_list *list, unsigned int kind,
			 u32 id);
u32 *iommu_ser_list_next(struct iommu_ser_list *list, unsigned int kind,
			 struct iommu_ser_page **pagep, u32 *record);
int iommu_ser_list_add(struct iommu_ser_list *list, unsigned int kind,
		       const void *record);
void iommu_ser_list_remove(struct iommu_ser_list *list, unsigned int kind,
			   u32 id);
void iommu_ser_list_free(struct iommu_ser_list *list);
void iommu_record_write(unsigned int kind, u32 *place, const void *record,
			u32 id);

/* records.c: the kernel that leaves */
struct iommu_records *iommu_records_create(void);
void iommu_records_forget(struct iommu_records *records);
void iommu_records_destroy(struct iommu_records *records);
u64 iommu_records_phys(const struct iommu_records *records);
int iommu_records_add(struct iommu_records *records, unsigned int kind,
		      const void *record);
int iommu_records_update(struct iommu_records *records, unsigned int kind,
			 u32 id, const void *record);
int iommu_records_remove(struct iommu_records *records, unsigned int kind,
			 u32 id);
const void *iommu_records_get(struct iommu_records *records, unsigned int kind,
			      u32 id);
int iommu_records_verify(struct iommu_records *records);

/* reader.c: the kernel that comes */
struct iommu_incoming *iommu_incoming_open(u64 phys);
void iommu_incoming_close(struct iommu_incoming *in);
void iommu_incoming_free(struct iommu_incoming *in);
const void *iommu_incoming_get(const struct iommu_incoming *in,
			       unsigned int kind, u32 id);
const void *iommu_incoming_next(const struct iommu_incoming *in,
				unsigned int kind, u32 id);
const struct iommu_device_ser *
iommu_incoming_find_device(struct iommu_incoming *in, u16 segment, u16 bdf);
int iommu_incoming_verify(u64 phys);

/* records_kho.c: all that is known about memory and KHO */
void *iommu_record_calloc(size_t nr, size_t size);
void iommu_record_free(void *memory);
int iommu_record_insert(struct xarray *xa, unsigned long key, u32 value);
void *iommu_record_page_alloc(void);
void iommu_record_page_free(void *page);
void iommu_record_page_restore_free(void *page);
bool iommu_record_pfn_valid(unsigned long pfn);
int iommu_record_kho_order(u64 phys);

#endif /* __IOMMU_LIVEUPDATE_RECORDS_H */
