/* svchostd's whole worker in a test, with a key that was certified, and nodes of its tenant around it. */
#ifndef TESTS_SVC_STAGE_H
#define TESTS_SVC_STAGE_H

#include "e2e_world.h"
#include "fake_worker.h"

#include "svchostd/svchostd.h"
#include "svchostd/unit.h"

#define WAIT_MS 10000	/* for what comes at once: a slow machine is no failure */

#define PEERS 100u

static struct fake fk;
static struct world world;		/* b is this node; the peers are of its tenant */
static struct world_node peers[PEERS];

static inline struct procmsg
conf_service(const char *name)
{
	struct procmsg m = { .type = PM_CONF_SERVICE };

	snprintf(m.conf_service.name, sizeof(m.conf_service.name), "%s", name);
	return m;
}

/* A node with its records, and an adapter's key. */
static inline struct world_node *
peer(unsigned n)
{
	ck_assert_uint_lt(n, PEERS);
	if (peers[n].mlen == 0) {
		world_node_init(&world, &peers[n], "peer", (uint8_t)(10 + n));
		strcpy(peers[n].s.name, "echo");
		world_node_sign(&peers[n]);
	}
	return &peers[n];
}

static inline struct procmsg
conf_node(void)
{
	struct procmsg m = { .type = PM_CONF_NODE, .conf_node = { .name = "here", .tenant = WORLD_TENANT } };

	memcpy(m.conf_node.node_id, world.b.self.node_id, NODE_ID_LEN);
	memcpy(m.conf_node.authority, world.authority.public, SIGN_PUBLIC_LEN);
	return m;
}

static inline struct procmsg
conf_peer(unsigned n, const char *name)
{
	struct procmsg m = fake_conf_peer(1, name);

	memcpy(m.conf_peer.node_id, peer(n)->self.node_id, NODE_ID_LEN);
	return m;
}

/* As the supervisor does: the worker's key is certified. */
static inline void
certify(void)
{
	struct world_node *here = &world.b;
	struct procmsg m;
	uint8_t key[NOISE_DH_LEN];

	ck_assert(fake_message(&fk, &fk.supervisor, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_DELEGATE);
	ck_assert_uint_eq(m.delegate.purpose, PURPOSE_E2E);
	memcpy(key, m.delegate.key, sizeof(key));
	fake_forget(&fk.supervisor);
	here->d.subject = key;
	world_node_sign(here);
	m = (struct procmsg){ .type = PM_DELEGATION, .delegation = { .purpose = PURPOSE_E2E,
	    .membership = { here->mbuf, here->mlen }, .delegation = { here->dbuf, here->dlen },
	    .renew_at = world_now + WORLD_HOUR } };
	ck_assert_int_eq(svchostd_ops.message(&fk.worker, &m, -1), 0);
}

static inline void
setup(void)
{
	struct procmsg items[4];

	world_now = clock_wall();
	world_init(&world);
	items[0] = conf_node();
	items[1] = conf_peer(1, "home-1");
	items[2] = conf_peer(2, "entry-1");
	items[3] = conf_service("echo");
	fake_start(&fk, &svchostd_ops);
	ck_assert(fake_configure(&fk, items, 4));
	certify();
	fake_port(&fk);
}

static inline void
teardown(void)
{
	fake_stop(&fk);
}

static inline void
expect_bind(void)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	if (m.type == PM_SERVICES)	/* a port begins with that */
		ck_assert(fake_message(&fk, &fk.dataplane, &m, WAIT_MS));
	ck_assert_int_eq(m.type, PM_BIND);
	ck_assert_str_eq(m.bind.service, "echo");
}

static inline void
expect_nothing(void)
{
	struct frame f;

	ck_assert(!fake_wait(&fk, &fk.dataplane, &f, 30));
}

static inline struct pm_row
expect_row(unsigned ms)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, ms));
	ck_assert_int_eq(m.type, PM_ROW);
	ck_assert_uint_eq(m.row.id, 7);
	return m.row;
}

static inline struct pm_done
expect_done(unsigned ms)
{
	struct procmsg m;

	ck_assert(fake_message(&fk, &fk.supervisor, &m, ms));
	ck_assert_int_eq(m.type, PM_DONE);
	ck_assert_uint_eq(m.done.id, 7);
	return m.done;
}

#endif
