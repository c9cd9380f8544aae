// SPDX-License-Identifier: GPL-2.0

/**
 * DOC: LUO File Lookup
 *
 * The state of one file may refer to another file: an iommufd refers to the
 * memfds its page tables map, a vfio device to the iommufd it is bound to. A
 * reference is only worth keeping if both files cross in the same session, for
 * then they are finished together. It is recorded as the token of the other
 * file, since a token is all that names a file in both kernels:
 *
 *   - the old kernel asks for the token of the file it depends on, in
 *     .preserve(), and refuses to preserve if there is none;
 *   - the new kernel asks for the file by that token, in .retrieve() or in
 *     .can_finish(), whether or not userspace has retrieved it yet.
 *
 * Locking:
 *
 * Both functions run inside a file operation, where the mutex of the session is
 * held and protects the list of its files. Retrieving a file from within the
 * operation of another nests the mutexes of two files. Nobody takes the mutex
 * of a file without that of its session, so the nesting cannot deadlock with
 * another task, and a file that is still to be retrieved but has its mutex
 * taken is one that waits for itself.
 */

#include <linux/errno.h>
#include <linux/export.h>
#include <linux/liveupdate.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include "luo_internal.h"

static struct luo_session *luo_session_of(struct liveupdate_session *session)
{
	return (struct luo_session *)session;
}

/**
 * liveupdate_get_token_outgoing - Find the token of a file of this session.
 * @session: The session, from the arguments of the calling file operation.
 * @file:    The file to look for. Another &struct file for what the handler's
 *           .get_id() calls the same object is found as well.
 * @tokenp:  Output parameter; set to the token of the file on success,
 *           untouched otherwise.
 *
 * Context: Called from .preserve(), .unpreserve(), .freeze() or .unfreeze() of
 *          a file of @session, where the session's mutex is held.
 * Return: 0 on success. Returns a negative errno on failure:
 *         -ENOENT if the file is not preserved in this session.
 *         -EINVAL if the session came from the previous kernel.
 */
int liveupdate_get_token_outgoing(struct liveupdate_session *session,
				  struct file *file, u64 *tokenp)
{
	struct luo_session *luo_session = luo_session_of(session);

	lockdep_assert_held(&luo_session->mutex);

	if (luo_session->retrieved)
		return -EINVAL;

	return luo_file_token(&luo_session->file_set, file, tokenp);
}
EXPORT_SYMBOL_GPL(liveupdate_get_token_outgoing);

/**
 * liveupdate_get_file_incoming - Get a file of this session by its token.
 * @session: The session, from the arguments of the calling file operation.
 * @token:   The token the file was preserved with.
 * @filep:   Output parameter; set to the file on success, untouched otherwise.
 *           The caller drops the reference with fput().
 *
 * The file is retrieved if nobody has done that yet, so files may ask for each
 * other in any order. It stays available to userspace under its token.
 *
 * Context: Called from .retrieve() or .can_finish() of a file of @session,
 *          where the session's mutex is held. May sleep.
 * Return: 0 on success. Returns a negative errno on failure:
 *         -ENOENT if the session has no file with this token.
 *         -EDEADLK if the file asks for itself, directly or through others.
 *         -EINVAL if the session did not come from the previous kernel.
 *         Any error code returned by the .retrieve() op of that file.
 */
int liveupdate_get_file_incoming(struct liveupdate_session *session, u64 token,
				 struct file **filep)
{
	struct luo_session *luo_session = luo_session_of(session);

	lockdep_assert_held(&luo_session->mutex);

	if (!luo_session->retrieved)
		return -EINVAL;

	return luo_retrieve_file(&luo_session->file_set, token, filep);
}
EXPORT_SYMBOL_GPL(liveupdate_get_file_incoming);
