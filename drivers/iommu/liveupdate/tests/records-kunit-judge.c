// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another opinion on what records are right, from the ABI header alone. It is
 * slow, goes by the bytes, and shares nothing with the reader but its results.
 */

#include <linux/io.h>
#include <linux/string.h>

#include "records-kunit.h"

#define JUDGE_MAX_ADDRESSES	512
#define JUDGE_MAX_PAGES		16

struct judge {
	struct fake_kho *fake;
	struct iommu_incoming *in;
	u64 addresses[JUDGE_MAX_ADDRESSES];
	unsigned int nr_addresses;
	const struct iommu_hw_ser *units[64];
	const struct iommu_domain_ser *domains[256];
	const struct iommu_device_ser *devices[256];
	unsigned int nr[IOMMU_SER_NR_KINDS];
};

static const size_t judge_size[IOMMU_SER_NR_KINDS] = {
	sizeof(struct iommu_hw_ser),
	sizeof(struct iommu_domain_ser),
	sizeof(struct iommu_device_ser),
};

static bool all_zero(const void *from, size_t len)
{
	const u8 *byte = from;

	while (len--) {
		if (*byte++)
			return false;
	}
	return true;
}

static bool unique_address(struct judge *judge, u64 address)
{
	for (unsigned int i = 0; i < judge->nr_addresses; i++) {
		if (judge->addresses[i] == address)
			return false;
	}
	if (judge->nr_addresses == JUDGE_MAX_ADDRESSES)
		return false;
	judge->addresses[judge->nr_addresses++] = address;
	return true;
}

static bool good_table(struct judge *judge, u64 address, int order)
{
	return fake_kho_knows(judge->fake, address, order) &&
	       unique_address(judge, address);
}

static void keep(struct judge *judge, unsigned int kind, const void *record)
{
	unsigned int n = judge->nr[kind]++;

	if (kind == IOMMU_SER_UNITS)
		judge->units[n] = record;
	else if (kind == IOMMU_SER_DOMAINS)
		judge->domains[n] = record;
	else
		judge->devices[n] = record;
}

static const char *judge_list(struct judge *judge, struct iommu_flb_ser *root,
			      unsigned int kind)
{
	size_t size = judge_size[kind], room = PAGE_SIZE - 24;
	struct iommu_ser_list *list = &root->lists[kind];
	u32 id = 0, pages = 0;
	u64 phys = list->first;

	while (phys) {
		const u8 *page, *record;
		unsigned int before = judge->nr[kind];

		if (pages == JUDGE_MAX_PAGES || !good_table(judge, phys, 0))
			return "bad page";
		page = phys_to_virt(phys);
		if (*(u32 *)(page + 8) != kind || *(u32 *)(page + 12) != pages ||
		    *(u32 *)(page + 20))
			return "bad page head";
		pages++;
		for (record = page + 24; record + size <= page + PAGE_SIZE;
		     record += size) {
			id++;
			if (*(u32 *)record && *(u32 *)record != id)
				return "bad id";
			if (!*(u32 *)record && !all_zero(record, size))
				return "dirty place";
			if (*(u32 *)record)
				keep(judge, kind, record);
			if (iommu_incoming_get(judge->in, kind, id) !=
			    (*(u32 *)record ? record : NULL))
				return "look-up by id";
		}
		if (!all_zero(page + PAGE_SIZE - room % size, room % size))
			return "dirty page";
		if (*(u32 *)(page + 16) != judge->nr[kind] - before)
			return "bad count in page";
		phys = *(u64 *)page;
	}
	if (pages != list->nr_pages || judge->nr[kind] != list->nr_records)
		return "bad count";
	return NULL;
}

static const char *judge_unit(struct judge *judge,
			      const struct iommu_hw_ser *unit)
{
	u64 rtaddr = unit->intel.rtaddr, irta = unit->intel.irta;
	int order = 0;

	if (unit->type != 1 || !all_zero((u8 *)unit + 8 + 106, 136 - 8 - 106))
		return "unit";
	if (unit->intel.reg_phys % 4096 || !unit->intel.reg_phys ||
	    !unique_address(judge, unit->intel.reg_phys))
		return "registers";
	if (rtaddr % 4096 && rtaddr % 4096 != 1024)
		return "mode";
	if (!good_table(judge, rtaddr / 4096 * 4096, 0))
		return "root table";
	if (irta) {
		if (irta % 2048 > 15)
			return "interrupt mode";
		while (4096ULL << order < 16ULL << (irta % 16 + 1))
			order++;
		if (!good_table(judge, irta / 4096 * 4096, order))
			return "interrupt table";
	}
	return NULL;
}

static const char *judge_domain(struct judge *judge,
				const struct iommu_domain_ser *domain)
{
	if (domain->type != 1 || domain->__reserved || !domain->pt.nr_tables ||
	    !domain->pt.format ||
	    domain->pt.aperture_start > domain->pt.aperture_last ||
	    !all_zero(domain->pt.__reserved, sizeof(domain->pt.__reserved)))
		return "domain";
	if (!good_table(judge, domain->pt.top_phys, -1))
		return "top table";
	return NULL;
}

static bool share_rid(const struct iommu_device_ser *a,
		      const struct iommu_device_ser *b)
{
	for (int i = -1; i < (int)a->nr_aliases; i++) {
		for (int j = -1; j < (int)b->nr_aliases; j++) {
			/* No requester id of one device comes twice either. */
			if (a == b && i == j)
				continue;
			if ((i < 0 ? a->bdf : a->aliases[i]) ==
				    (j < 0 ? b->bdf : b->aliases[j]) &&
			    a->segment == b->segment)
				return true;
		}
	}
	return false;
}

static const char *judge_device(struct judge *judge,
				const struct iommu_device_ser *device)
{
	const struct iommu_hw_ser *unit;
	bool same;

	if (device->nr_aliases > 7 || device->__reserved || !device->vendor ||
	    device->vendor == 0xffff || device->attachment_id < 2 ||
	    device->attachment_id > 65535 ||
	    !all_zero(device->aliases + device->nr_aliases,
		      14 - 2 * device->nr_aliases))
		return "device";
	unit = iommu_incoming_get(judge->in, 0, device->unit_id);
	if (!unit || unit->id != device->unit_id ||
	    unit->intel.segment != device->segment)
		return "unit of device";
	if (!iommu_incoming_get(judge->in, 1, device->domain_id))
		return "domain of device";
	if (!(unit->intel.rtaddr & 1024) != !device->pasid_dir)
		return "mode of device";
	if (!device->pasid_dir && (device->pasid_dir_order || device->max_pasid))
		return "size without directory";
	if (device->pasid_dir && device->nr_aliases)
		return "directory and aliases";
	if (device->pasid_dir &&
	    (!good_table(judge, device->pasid_dir, device->pasid_dir_order) ||
	     device->max_pasid != 32768ULL << device->pasid_dir_order ||
	     device->max_pasid > 1048576))
		return "directory";
	if (iommu_incoming_find_device(judge->in, device->segment,
				       device->bdf) != device)
		return "look-up of device";

	for (unsigned int i = 0; i < judge->nr[2]; i++) {
		const struct iommu_device_ser *other = judge->devices[i];

		if (share_rid(device, other))
			return "requester id";
		if (other->unit_id != device->unit_id)
			continue;
		same = other->domain_id == device->domain_id;
		if (same != !(other->attachment_id - device->attachment_id))
			return "attachment id";
	}
	return NULL;
}

/* A context table is there if, and only if, a device is in it. */
static const char *judge_context_tables(struct judge *judge,
					const struct iommu_hw_ser *unit)
{
	bool scalable = unit->intel.rtaddr & 1024;

	for (unsigned int bit = 0; bit < 512; bit++) {
		bool used = false;

		for (unsigned int i = 0; i < judge->nr[2]; i++) {
			const struct iommu_device_ser *device = judge->devices[i];

			if (device->unit_id != unit->id)
				continue;
			for (int j = -1; j < (int)device->nr_aliases; j++) {
				u16 rid = j < 0 ? device->bdf :
						  device->aliases[j];

				if (rid >> 8 == bit / 2 &&
				    (scalable && rid & 128) == bit % 2)
					used = true;
			}
		}
		if (used != !!(unit->intel.context_tables[bit / 64] >>
			       bit % 64 & 1))
			return "context table";
	}
	return NULL;
}

/* What is wrong, or NULL. Tests run one after the other, so this can be here. */
static struct judge the_judge;

const char *records_judge(struct fake_kho *fake, struct iommu_incoming *in,
			  u64 phys)
{
	struct iommu_flb_ser *root = phys_to_virt(phys);
	struct judge *judge = &the_judge;
	const char *why = NULL;

	memset(judge, 0, sizeof(*judge));
	judge->fake = fake;
	judge->in = in;
	if (!good_table(judge, phys, 0))
		return "address of root";
	if (root->version != 1 || root->__reserved ||
	    !all_zero((u8 *)root + 56, PAGE_SIZE - 56))
		return "root";
	for (unsigned int kind = 0; !why && kind < 3; kind++)
		why = judge_list(judge, root, kind);
	for (unsigned int i = 0; !why && i < judge->nr[0]; i++)
		why = judge_unit(judge, judge->units[i]);
	for (unsigned int i = 0; !why && i < judge->nr[1]; i++)
		why = judge_domain(judge, judge->domains[i]);
	for (unsigned int i = 0; !why && i < judge->nr[2]; i++)
		why = judge_device(judge, judge->devices[i]);
	for (unsigned int i = 0; !why && i < judge->nr[0]; i++)
		why = judge_context_tables(judge, judge->units[i]);
	return why;
}
