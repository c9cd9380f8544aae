/* SPDX-License-Identifier: GPL-2.0-only */
/* Replace the domain of a requester id while its device does DMA. */
#ifndef __INTEL_REPLACE_H
#define __INTEL_REPLACE_H

#include <linux/types.h>

struct device;
struct iommu_domain;
struct pasid_entry;

#ifdef CONFIG_X86_64

bool intel_iommu_is_replace(struct iommu_domain *domain, struct device *dev,
			    struct iommu_domain *old);
int intel_iommu_replace(struct iommu_domain *domain, struct device *dev,
			struct iommu_domain *old);

/* entry_switch.c */
static inline bool vtd_entry_half_equal(const u64 *one, const u64 *two)
{
	return one[0] == two[0] && one[1] == two[1];
}

void vtd_entry_store(u64 *live, const u64 *words);
int pasid_entry_can_switch(const struct pasid_entry *live,
			   const struct pasid_entry *new);
bool pasid_entry_switch_step(struct pasid_entry *live,
			     const struct pasid_entry *new);

#else /* CONFIG_X86_64 */

static inline bool intel_iommu_is_replace(struct iommu_domain *domain,
					  struct device *dev,
					  struct iommu_domain *old)
{
	return false;
}

static inline int intel_iommu_replace(struct iommu_domain *domain,
				      struct device *dev,
				      struct iommu_domain *old)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_X86_64 */
#endif /* __INTEL_REPLACE_H */
