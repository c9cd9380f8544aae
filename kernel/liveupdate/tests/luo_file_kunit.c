// SPDX-License-Identifier: GPL-2.0-only

/* Part of luo_file.c: the tests build sessions out of its struct luo_file. */

#include <linux/anon_inodes.h>
#include <linux/fdtable.h>
#include <kunit/test-bug.h>
#include <kunit/test.h>

#define LUO_FILE_KUNIT_NONE	U64_MAX
#define LUO_FILE_KUNIT_DATA	0x5e71a112edULL

enum luo_file_kunit_op {
	LUO_KUNIT_PRESERVE,
	LUO_KUNIT_UNPRESERVE,
	LUO_KUNIT_FREEZE,
	LUO_KUNIT_UNFREEZE,
	LUO_KUNIT_RETRIEVE,
	LUO_KUNIT_CAN_FINISH,
	LUO_KUNIT_FINISH,
	LUO_KUNIT_NR_OPS,
};

struct luo_file_kunit {
	struct liveupdate_file_op_args seen[LUO_KUNIT_NR_OPS];
	int calls[LUO_KUNIT_NR_OPS];
	struct liveupdate_file_handler fh;
	struct luo_session session;
	/* What a retrieve asks the session for, by its own token. */
	u64 asks_for[4];
	int asked_err[4];
	/* The same for can_finish. */
	u64 finish_asks_for;
	int finish_asked_err;
	int retrieve_err;
	int foreign_ids;
	struct kunit *test;
};

static struct luo_file_kunit *
luo_file_kunit_seen(struct liveupdate_file_op_args *args, enum luo_file_kunit_op op)
{
	struct luo_file_kunit *priv = container_of(args->handler,
						   struct luo_file_kunit, fh);

	priv->seen[op] = *args;
	priv->calls[op]++;

	return priv;
}

static const struct file_operations luo_file_kunit_fops = {};
static const struct file_operations luo_file_kunit_foreign_fops = {};

static bool luo_file_kunit_can_preserve(struct liveupdate_file_handler *fh,
					struct file *file)
{
	return file->f_op == &luo_file_kunit_fops;
}

static unsigned long luo_file_kunit_get_id(struct file *file)
{
	struct kunit *test = kunit_get_current_test();

	if (test && file->f_op != &luo_file_kunit_fops)
		((struct luo_file_kunit *)test->priv)->foreign_ids++;

	return (unsigned long)file->private_data;
}

static int luo_file_kunit_preserve(struct liveupdate_file_op_args *args)
{
	luo_file_kunit_seen(args, LUO_KUNIT_PRESERVE);
	args->serialized_data = LUO_FILE_KUNIT_DATA;

	return 0;
}

static void luo_file_kunit_unpreserve(struct liveupdate_file_op_args *args)
{
	luo_file_kunit_seen(args, LUO_KUNIT_UNPRESERVE);
}

static int luo_file_kunit_freeze(struct liveupdate_file_op_args *args)
{
	luo_file_kunit_seen(args, LUO_KUNIT_FREEZE);

	return 0;
}

static void luo_file_kunit_unfreeze(struct liveupdate_file_op_args *args)
{
	luo_file_kunit_seen(args, LUO_KUNIT_UNFREEZE);
}

static struct file *luo_file_kunit_new(void *id,
				       const struct file_operations *fops)
{
	return anon_inode_getfile("[luo_kunit]", fops, id, O_RDWR);
}

/* The serialized data of these files is their token. */
static int luo_file_kunit_retrieve(struct liveupdate_file_op_args *args)
{
	struct luo_file_kunit *priv = luo_file_kunit_seen(args, LUO_KUNIT_RETRIEVE);
	u64 token = args->serialized_data;
	u64 other = priv->asks_for[token];
	struct file *file;

	args->private_data = &priv->asks_for[token];
	if (other != LUO_FILE_KUNIT_NONE) {
		int err = liveupdate_get_file_incoming(args->session, other, &file);

		priv->asked_err[token] = err;
		if (err)
			return err;
		fput(file);
	}
	if (priv->retrieve_err)
		return priv->retrieve_err;

	file = luo_file_kunit_new(&priv->asks_for[token], &luo_file_kunit_fops);
	if (IS_ERR(file))
		return PTR_ERR(file);
	args->file = file;

	return 0;
}

static bool luo_file_kunit_can_finish(struct liveupdate_file_op_args *args)
{
	struct luo_file_kunit *priv = luo_file_kunit_seen(args, LUO_KUNIT_CAN_FINISH);
	struct file *file;

	if (args->serialized_data || priv->finish_asks_for == LUO_FILE_KUNIT_NONE)
		return true;

	priv->finish_asked_err = liveupdate_get_file_incoming(args->session,
							      priv->finish_asks_for,
							      &file);
	if (!priv->finish_asked_err)
		fput(file);

	return true;
}

static void luo_file_kunit_finish(struct liveupdate_file_op_args *args)
{
	luo_file_kunit_seen(args, LUO_KUNIT_FINISH);
}

static const struct liveupdate_file_ops luo_file_kunit_ops = {
	.can_preserve = luo_file_kunit_can_preserve,
	.preserve = luo_file_kunit_preserve,
	.unpreserve = luo_file_kunit_unpreserve,
	.freeze = luo_file_kunit_freeze,
	.unfreeze = luo_file_kunit_unfreeze,
	.retrieve = luo_file_kunit_retrieve,
	.can_finish = luo_file_kunit_can_finish,
	.finish = luo_file_kunit_finish,
	.get_id = luo_file_kunit_get_id,
	.owner = THIS_MODULE,
};

static const struct liveupdate_file_handler luo_file_kunit_template = {
	.ops = &luo_file_kunit_ops,
	.compatible = "kunit-file-v1",
};

static struct liveupdate_session *luo_file_kunit_session(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;

	return luo_file_set_session(&priv->session.file_set);
}

/* Preserve a file the way a session does, by its descriptor. */
static int luo_file_kunit_preserve_fd(struct kunit *test, u64 token, struct file *file)
{
	struct luo_file_kunit *priv = test->priv;
	int err, fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	fd_install(fd, get_file(file));

	scoped_guard(mutex, &priv->session.mutex)
		err = luo_preserve_file(&priv->session.file_set, token, fd);
	close_fd(fd);

	return err;
}

/* Files as deserialization leaves them: a token, data, and no file. */
static void luo_file_kunit_incoming(struct kunit *test, u64 nr)
{
	struct luo_file_kunit *priv = test->priv;

	priv->session.retrieved = true;
	for (u64 token = 0; token < nr; token++) {
		struct luo_file *luo_file = kzalloc_obj(*luo_file);

		KUNIT_ASSERT_NOT_NULL(test, luo_file);
		luo_file->fh = &priv->fh;
		luo_file->token = token;
		luo_file->serialized_data = token;
		mutex_init(&luo_file->mutex);
		list_add_tail(&luo_file->list, &priv->session.file_set.files_list);
		priv->session.file_set.count++;
	}
}

static int luo_file_kunit_get(struct kunit *test, u64 token, struct file **filep)
{
	struct luo_file_kunit *priv = test->priv;

	guard(mutex)(&priv->session.mutex);
	return liveupdate_get_file_incoming(luo_file_kunit_session(test), token,
					    filep);
}

static int luo_file_kunit_token(struct kunit *test, struct file *file, u64 *token)
{
	struct luo_file_kunit *priv = test->priv;

	guard(mutex)(&priv->session.mutex);
	return liveupdate_get_token_outgoing(luo_file_kunit_session(test), file,
					     token);
}

static void luo_file_token_outgoing(struct kunit *test)
{
	struct file *file, *same, *other, *foreign;
	struct luo_file_kunit *priv = test->priv;
	int id = 0, other_id = 0;
	u64 token = 77;

	file = luo_file_kunit_new(&id, &luo_file_kunit_fops);
	same = luo_file_kunit_new(&id, &luo_file_kunit_fops);
	other = luo_file_kunit_new(&other_id, &luo_file_kunit_fops);
	foreign = luo_file_kunit_new(&id, &luo_file_kunit_foreign_fops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, same);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, foreign);

	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, file, &token), -ENOENT);
	KUNIT_ASSERT_EQ(test, luo_file_kunit_preserve_fd(test, 5, file), 0);
	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, other, &token), -ENOENT);
	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, foreign, &token), -ENOENT);
	KUNIT_EXPECT_EQ(test, priv->foreign_ids, 0);
	KUNIT_EXPECT_EQ(test, token, 77);

	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, file, &token), 0);
	KUNIT_EXPECT_EQ(test, token, 5);
	token = 77;
	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, same, &token), 0);
	KUNIT_EXPECT_EQ(test, token, 5);

	fput(foreign);
	fput(other);
	fput(same);
	fput(file);
}

static void luo_file_wrong_direction(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;
	struct file *file;
	int id = 0;
	u64 token;

	file = luo_file_kunit_new(&id, &luo_file_kunit_fops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);

	priv->session.retrieved = true;
	KUNIT_EXPECT_EQ(test, luo_file_kunit_token(test, file, &token), -EINVAL);
	priv->session.retrieved = false;
	fput(file);
	KUNIT_EXPECT_EQ(test, luo_file_kunit_get(test, 0, &file), -EINVAL);
}

/* Every operation of the old kernel is told the same session. */
static void luo_file_args_outgoing(struct kunit *test)
{
	struct liveupdate_session *session = luo_file_kunit_session(test);
	struct luo_file_kunit *priv = test->priv;
	struct luo_file_set_ser ser = {};
	struct file *file;
	int id = 0;

	file = luo_file_kunit_new(&id, &luo_file_kunit_fops);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, luo_file_kunit_preserve_fd(test, 1, file), 0);

	scoped_guard(mutex, &priv->session.mutex) {
		KUNIT_EXPECT_EQ(test, luo_file_freeze(&priv->session.file_set, &ser), 0);
		luo_file_unfreeze(&priv->session.file_set, &ser);
		luo_file_unpreserve_files(&priv->session.file_set);
	}

	for (int op = LUO_KUNIT_PRESERVE; op <= LUO_KUNIT_UNFREEZE; op++) {
		KUNIT_EXPECT_EQ(test, priv->calls[op], 1);
		KUNIT_EXPECT_PTR_EQ(test, priv->seen[op].session, session);
		KUNIT_EXPECT_PTR_EQ(test, priv->seen[op].file, file);
		if (op != LUO_KUNIT_PRESERVE)
			KUNIT_EXPECT_EQ(test, priv->seen[op].serialized_data,
					LUO_FILE_KUNIT_DATA);
	}
	fput(file);
}

/* What retrieve leaves in private_data reaches finish, however it ended. */
static void luo_file_args_incoming(struct kunit *test)
{
	struct liveupdate_session *session = luo_file_kunit_session(test);
	struct luo_file_kunit *priv = test->priv;
	int errs[] = { 0, -EIO };

	for (int i = 0; i < ARRAY_SIZE(errs); i++) {
		struct file *file = NULL;

		memset(priv->calls, 0, sizeof(priv->calls));
		luo_file_kunit_incoming(test, 1);
		priv->retrieve_err = errs[i];

		KUNIT_EXPECT_EQ(test, luo_file_kunit_get(test, 0, &file), errs[i]);
		KUNIT_EXPECT_PTR_EQ(test, priv->seen[LUO_KUNIT_RETRIEVE].private_data,
				    NULL);
		scoped_guard(mutex, &priv->session.mutex)
			KUNIT_EXPECT_EQ(test, luo_file_finish(&priv->session.file_set), 0);

		for (int op = LUO_KUNIT_RETRIEVE; op <= LUO_KUNIT_FINISH; op++) {
			KUNIT_EXPECT_EQ(test, priv->calls[op], 1);
			KUNIT_EXPECT_PTR_EQ(test, priv->seen[op].session, session);
			if (op == LUO_KUNIT_RETRIEVE)
				continue;
			KUNIT_EXPECT_PTR_EQ(test, priv->seen[op].file, file);
			KUNIT_EXPECT_PTR_EQ(test, priv->seen[op].private_data,
					    &priv->asks_for[0]);
			KUNIT_EXPECT_EQ(test, priv->seen[op].retrieve_status,
					errs[i] ? errs[i] : 1);
		}
		if (file)
			fput(file);
	}
}

/* Retrieving a chain nests the mutexes of three files; lockdep watches. */
static void luo_file_get_nested(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;
	struct file *file, *again;

	luo_file_kunit_incoming(test, 4);
	priv->asks_for[0] = 2;
	priv->asks_for[2] = 1;

	KUNIT_ASSERT_EQ(test, luo_file_kunit_get(test, 0, &file), 0);
	KUNIT_EXPECT_EQ(test, priv->calls[LUO_KUNIT_RETRIEVE], 3);
	fput(file);

	KUNIT_ASSERT_EQ(test, luo_file_kunit_get(test, 2, &file), 0);
	KUNIT_ASSERT_EQ(test, luo_file_kunit_get(test, 2, &again), 0);
	KUNIT_EXPECT_PTR_EQ(test, file, again);
	KUNIT_EXPECT_EQ(test, priv->calls[LUO_KUNIT_RETRIEVE], 3);
	fput(again);
	fput(file);

	KUNIT_EXPECT_EQ(test, luo_file_kunit_get(test, 9, &file), -ENOENT);
}

static void luo_file_get_itself(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;
	struct file *file = NULL;

	luo_file_kunit_incoming(test, 3);
	priv->asks_for[0] = 0;
	priv->asks_for[1] = 2;
	priv->asks_for[2] = 1;

	KUNIT_EXPECT_EQ(test, luo_file_kunit_get(test, 0, &file), -EDEADLK);
	KUNIT_EXPECT_EQ(test, priv->asked_err[0], -EDEADLK);

	KUNIT_EXPECT_EQ(test, luo_file_kunit_get(test, 1, &file), -EDEADLK);
	KUNIT_EXPECT_EQ(test, priv->asked_err[2], -EDEADLK);
	KUNIT_EXPECT_EQ(test, priv->calls[LUO_KUNIT_RETRIEVE], 3);
	KUNIT_EXPECT_NULL(test, file);
}

/* A file that is there already is no reason to wait for anything. */
static void luo_file_get_from_can_finish(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;
	struct file *file;

	luo_file_kunit_incoming(test, 2);
	KUNIT_ASSERT_EQ(test, luo_file_kunit_get(test, 0, &file), 0);
	fput(file);

	priv->finish_asks_for = 1;
	priv->finish_asked_err = -EIO;
	priv->asks_for[1] = 0;
	scoped_guard(mutex, &priv->session.mutex)
		KUNIT_EXPECT_EQ(test, luo_file_finish(&priv->session.file_set), 0);
	KUNIT_EXPECT_EQ(test, priv->finish_asked_err, 0);
	KUNIT_EXPECT_EQ(test, priv->calls[LUO_KUNIT_RETRIEVE], 2);
}

static int luo_file_kunit_init(struct kunit *test)
{
	struct luo_file_kunit *priv;
	int err;

	if (!liveupdate_enabled())
		kunit_skip(test, "live update is off");

	priv = kunit_kzalloc(test, sizeof(*priv), GFP_KERNEL);
	if (!priv)
		return -ENOMEM;

	memcpy(&priv->fh, &luo_file_kunit_template, sizeof(priv->fh));
	for (int i = 0; i < ARRAY_SIZE(priv->asks_for); i++)
		priv->asks_for[i] = LUO_FILE_KUNIT_NONE;
	priv->finish_asks_for = LUO_FILE_KUNIT_NONE;
	mutex_init(&priv->session.mutex);
	luo_file_set_init(&priv->session.file_set);

	err = liveupdate_register_file_handler(&priv->fh);
	if (err)
		return err;
	test->priv = priv;

	/* The incoming files of these tests hold no reference to an FLB. */
	scoped_guard(rwsem_write, &luo_register_rwlock)
		luo_flb_unregister_all(&priv->fh);

	return 0;
}

static void luo_file_kunit_exit(struct kunit *test)
{
	struct luo_file_kunit *priv = test->priv;

	if (!priv)
		return;

	scoped_guard(mutex, &priv->session.mutex) {
		if (priv->session.retrieved)
			luo_file_finish(&priv->session.file_set);
		else
			luo_file_unpreserve_files(&priv->session.file_set);
	}
	luo_file_set_destroy(&priv->session.file_set);
	liveupdate_unregister_file_handler(&priv->fh);
	mutex_destroy(&priv->session.mutex);
}

static struct kunit_case luo_file_kunit_cases[] = {
	KUNIT_CASE(luo_file_token_outgoing),
	KUNIT_CASE(luo_file_wrong_direction),
	KUNIT_CASE(luo_file_args_outgoing),
	KUNIT_CASE(luo_file_args_incoming),
	KUNIT_CASE(luo_file_get_nested),
	KUNIT_CASE(luo_file_get_itself),
	KUNIT_CASE(luo_file_get_from_can_finish),
	{}
};

static struct kunit_suite luo_file_kunit_suite = {
	.name = "luo_file",
	.init = luo_file_kunit_init,
	.exit = luo_file_kunit_exit,
	.test_cases = luo_file_kunit_cases,
};

kunit_test_suite(luo_file_kunit_suite);
