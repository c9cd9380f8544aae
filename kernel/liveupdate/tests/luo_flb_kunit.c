// SPDX-License-Identifier: GPL-2.0-only

/* Part of luo_flb.c: the tests put a header of their own in its place. */

#include <kunit/test.h>

struct luo_flb_kunit {
	struct luo_flb_header saved;
	struct {
		struct luo_flb_header_ser hdr;
		struct luo_flb_ser ser[1];
	} image;
	struct liveupdate_flb flb;
	int retrieve_err;
	int retrieved;
	int finished;
};

static struct luo_flb_kunit *luo_flb_kunit_of(struct liveupdate_flb *flb)
{
	return container_of(flb, struct luo_flb_kunit, flb);
}

static int luo_flb_kunit_preserve(struct liveupdate_flb_op_args *argp)
{
	return 0;
}

static void luo_flb_kunit_unpreserve(struct liveupdate_flb_op_args *argp)
{
}

static int luo_flb_kunit_retrieve(struct liveupdate_flb_op_args *argp)
{
	struct luo_flb_kunit *priv = luo_flb_kunit_of(argp->flb);

	priv->retrieved++;
	argp->obj = &priv->image;

	return priv->retrieve_err;
}

static void luo_flb_kunit_finish(struct liveupdate_flb_op_args *argp)
{
	struct luo_flb_kunit *priv = luo_flb_kunit_of(argp->flb);

	if (argp->obj == &priv->image)
		priv->finished++;
}

static const struct liveupdate_flb_ops luo_flb_kunit_ops = {
	.preserve = luo_flb_kunit_preserve,
	.unpreserve = luo_flb_kunit_unpreserve,
	.retrieve = luo_flb_kunit_retrieve,
	.finish = luo_flb_kunit_finish,
	.owner = THIS_MODULE,
};

static const struct liveupdate_flb luo_flb_kunit_template = {
	.ops = &luo_flb_kunit_ops,
	.compatible = "kunit-flb-v1",
};

static unsigned int luo_flb_kunit_count(struct luo_flb_kunit *priv)
{
	return refcount_read(&luo_flb_get_private(&priv->flb)->incoming.count);
}

/* A file that depends on the FLB is finished although nobody asked for it. */
static void luo_flb_put_before_retrieve(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	priv->image.ser[0].count = 2;

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 1);
	KUNIT_EXPECT_EQ(test, priv->finished, 0);

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 1);
	KUNIT_EXPECT_EQ(test, priv->finished, 1);
}

static void luo_flb_put_last_before_retrieve(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	priv->image.ser[0].count = 1;

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 1);
	KUNIT_EXPECT_EQ(test, priv->finished, 1);
}

/* A reference of a kernel user outlives those of the files. */
static void luo_flb_put_in_pairs(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;
	void *obj = NULL;

	priv->image.ser[0].count = 1;

	KUNIT_ASSERT_EQ(test, liveupdate_flb_get_incoming(&priv->flb, &obj), 0);
	KUNIT_EXPECT_PTR_EQ(test, obj, &priv->image);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 2);

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, priv->finished, 0);
	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 1);
	KUNIT_EXPECT_EQ(test, priv->finished, 1);
	KUNIT_EXPECT_EQ(test, liveupdate_flb_get_incoming(&priv->flb, &obj),
			-ENODATA);
}

/* The new kernel may bind FLBs to a handler that the old one did not. */
static void luo_flb_put_not_handed_over(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	priv->image.hdr.count = 0;

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 0);
	KUNIT_EXPECT_EQ(test, priv->finished, 0);
}

static void luo_flb_put_no_live_update(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	luo_flb_global.incoming.active = false;

	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 0);
	KUNIT_EXPECT_EQ(test, priv->finished, 0);
}

/* The new kernel may bind an FLB to more files than the old one did. */
static void luo_flb_put_after_finish(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	priv->image.ser[0].count = 1;

	liveupdate_flb_put_incoming(&priv->flb);
	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->finished, 1);
}

/* Counts that no kernel can have meant. */
static void luo_flb_bad_counts(struct kunit *test)
{
	static const u64 bad[] = { 0, (u64)INT_MAX + 1, U64_MAX };
	struct luo_flb_kunit *priv = test->priv;
	void *obj;

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		priv->image.ser[0].count = bad[i];
		KUNIT_EXPECT_EQ(test, liveupdate_flb_get_incoming(&priv->flb, &obj),
				-EINVAL);
	}

	priv->image.ser[0].count = 1;
	priv->image.hdr.count = LUO_FLB_MAX + 1;
	KUNIT_EXPECT_EQ(test, liveupdate_flb_get_incoming(&priv->flb, &obj), -EINVAL);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 0);
}

/* What could not be retrieved is tried once and never finished. */
static void luo_flb_put_failed_retrieve(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;
	void *obj;

	priv->image.ser[0].count = 2;
	priv->retrieve_err = -EIO;

	KUNIT_EXPECT_EQ(test, liveupdate_flb_get_incoming(&priv->flb, &obj), -EIO);
	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 1);
	liveupdate_flb_put_incoming(&priv->flb);
	KUNIT_EXPECT_EQ(test, luo_flb_kunit_count(priv), 0);
	KUNIT_EXPECT_EQ(test, priv->retrieved, 1);
	KUNIT_EXPECT_EQ(test, priv->finished, 0);
}

static int luo_flb_kunit_init(struct kunit *test)
{
	struct luo_flb_kunit *priv;

	if (!liveupdate_enabled())
		kunit_skip(test, "live update is off");

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	if (!priv)
		return -ENOMEM;

	memcpy(&priv->flb, &luo_flb_kunit_template, sizeof(priv->flb));
	priv->image.hdr.pgcnt = LUO_FLB_PGCNT;
	priv->image.hdr.count = 1;
	strscpy(priv->image.ser[0].name, priv->flb.compatible);

	priv->saved = luo_flb_global.incoming;
	if (priv->saved.active)
		kunit_skip(test, "a live update is pending");
	luo_flb_global.incoming.header_ser = &priv->image.hdr;
	luo_flb_global.incoming.ser = priv->image.ser;
	luo_flb_global.incoming.active = true;
	test->priv = priv;

	return 0;
}

static void luo_flb_kunit_exit(struct kunit *test)
{
	struct luo_flb_kunit *priv = test->priv;

	if (priv)
		luo_flb_global.incoming = priv->saved;
}

static struct kunit_case luo_flb_kunit_cases[] = {
	KUNIT_CASE(luo_flb_put_before_retrieve),
	KUNIT_CASE(luo_flb_put_last_before_retrieve),
	KUNIT_CASE(luo_flb_put_in_pairs),
	KUNIT_CASE(luo_flb_put_not_handed_over),
	KUNIT_CASE(luo_flb_put_no_live_update),
	KUNIT_CASE(luo_flb_put_failed_retrieve),
	KUNIT_CASE(luo_flb_put_after_finish),
	KUNIT_CASE(luo_flb_bad_counts),
	{}
};

static struct kunit_suite luo_flb_kunit_suite = {
	.name = "luo_flb",
	.init = luo_flb_kunit_init,
	.exit = luo_flb_kunit_exit,
	.test_cases = luo_flb_kunit_cases,
};

kunit_test_suite(luo_flb_kunit_suite);
