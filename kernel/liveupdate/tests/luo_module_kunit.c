// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file handler in a module: it links only if everything that it calls is
 * exported, and it can be unloaded only if nothing of it stays registered.
 */

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/liveupdate.h>
#include <linux/memfd.h>
#include <linux/module.h>
#include <linux/shmem_fs.h>
#include <kunit/test.h>

static int luo_module_flb_preserve(struct liveupdate_flb_op_args *argp)
{
	return 0;
}

static void luo_module_flb_unpreserve(struct liveupdate_flb_op_args *argp)
{
}

static int luo_module_flb_retrieve(struct liveupdate_flb_op_args *argp)
{
	return 0;
}

static void luo_module_flb_finish(struct liveupdate_flb_op_args *argp)
{
}

static const struct liveupdate_flb_ops luo_module_flb_ops = {
	.preserve = luo_module_flb_preserve,
	.unpreserve = luo_module_flb_unpreserve,
	.retrieve = luo_module_flb_retrieve,
	.finish = luo_module_flb_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_flb luo_module_flb = {
	.ops = &luo_module_flb_ops,
	.compatible = "kunit-module-flb-v1",
};

static bool luo_module_can_preserve(struct liveupdate_file_handler *fh,
				    struct file *file)
{
	return false;
}

static int luo_module_preserve(struct liveupdate_file_op_args *args)
{
	return liveupdate_get_token_outgoing(args->session, args->file,
					     &args->serialized_data);
}

static void luo_module_unpreserve(struct liveupdate_file_op_args *args)
{
}

static int luo_module_retrieve(struct liveupdate_file_op_args *args)
{
	return liveupdate_get_file_incoming(args->session, args->serialized_data,
					    &args->file);
}

static void luo_module_finish(struct liveupdate_file_op_args *args)
{
}

static const struct liveupdate_file_ops luo_module_file_ops = {
	.can_preserve = luo_module_can_preserve,
	.preserve = luo_module_preserve,
	.unpreserve = luo_module_unpreserve,
	.retrieve = luo_module_retrieve,
	.finish = luo_module_finish,
	.owner = THIS_MODULE,
};

static struct liveupdate_file_handler luo_module_handler = {
	.ops = &luo_module_file_ops,
	.compatible = "kunit-module-file-v1",
};

static void luo_module_file_handler(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, liveupdate_register_file_handler(&luo_module_handler), 0);
	KUNIT_EXPECT_EQ(test, liveupdate_register_file_handler(&luo_module_handler),
			-EEXIST);
	liveupdate_unregister_file_handler(&luo_module_handler);

	KUNIT_ASSERT_EQ(test, liveupdate_register_file_handler(&luo_module_handler), 0);
	liveupdate_unregister_file_handler(&luo_module_handler);
}

static void luo_module_flb_references(struct kunit *test)
{
	void *obj = NULL;
	int err;

	KUNIT_ASSERT_EQ(test, liveupdate_register_file_handler(&luo_module_handler), 0);
	KUNIT_EXPECT_EQ(test, liveupdate_register_flb(&luo_module_handler,
						      &luo_module_flb), 0);

	/* Nothing is preserved, and nothing of this name was handed over. */
	KUNIT_EXPECT_EQ(test, liveupdate_flb_get_outgoing(&luo_module_flb, &obj),
			-ENOENT);
	err = liveupdate_flb_get_incoming(&luo_module_flb, &obj);
	KUNIT_EXPECT_TRUE(test, err == -ENODATA || err == -ENOENT);
	liveupdate_flb_put_incoming(&luo_module_flb);
	if (!liveupdate_flb_get_outgoing(&luo_module_flb, &obj))
		liveupdate_flb_put_outgoing(&luo_module_flb);
	KUNIT_EXPECT_NULL(test, obj);

	liveupdate_unregister_flb(&luo_module_handler, &luo_module_flb);
	liveupdate_unregister_file_handler(&luo_module_handler);
}

static void luo_module_memfd_seals(struct kunit *test)
{
	struct file *file = shmem_file_setup("luo_module", PAGE_SIZE,
					     EMPTY_VMA_FLAGS);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_EXPECT_EQ(test, memfd_get_seals(file), F_SEAL_SEAL);
	fput(file);
}

static int luo_module_init(struct kunit *test)
{
	if (!liveupdate_enabled())
		kunit_skip(test, "live update is off");

	return 0;
}

static struct kunit_case luo_module_cases[] = {
	KUNIT_CASE(luo_module_file_handler),
	KUNIT_CASE(luo_module_flb_references),
	KUNIT_CASE(luo_module_memfd_seals),
	{}
};

static struct kunit_suite luo_module_suite = {
	.name = "luo_module",
	.init = luo_module_init,
	.test_cases = luo_module_cases,
};

kunit_test_suite(luo_module_suite);

MODULE_DESCRIPTION("KUnit tests of the Live Update Orchestrator for modules");
MODULE_LICENSE("GPL");
