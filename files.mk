# What belongs to what: a library a process (all but its main.c), and the test programs.

COMMON_OBJS = \
	common/fabric/facts.o \
	common/base/hex.o common/base/lex.o common/base/log.o common/wire/express.o common/wire/fields.o common/wire/frame.o common/wire/frame_body.o \
	common/wire/frame_data.o common/wire/frame_name.o common/wire/record.o common/wire/record_name.o \
	common/wire/tenants.o common/wire/tlv.o common/crypto/aead.o common/crypto/crypto.o common/crypto/identity.o common/crypto/noise.o \
	common/crypto/seal.o common/fabric/credit.o common/fabric/cut.o common/fabric/e2e.o common/fabric/e2e_stream.o common/fabric/govern.o common/fabric/loss.o \
	common/fabric/pressure.o \
	common/fabric/rate.o common/fabric/ring.o common/fabric/sched.o \
	common/fabric/session.o common/fabric/stream.o common/fabric/stream_out.o common/fabric/stream_table.o \
	common/fabric/streamid.o common/fabric/streams.o common/fabric/turn.o common/proc/ipc.o common/proc/ipc_pair.o common/proc/procmsg.o \
	common/proc/row.o common/proc/sandbox.o common/proc/shmring.o common/proc/stats.o common/proc/worker.o \
	common/crypto/box.o common/crypto/symmetric.o \
	common/fabric/policy.o common/fabric/policy_build.o common/fabric/policy_text.o \
	common/fabric/graph.o common/fabric/path.o common/fabric/score.o common/fabric/ticket.o common/fabric/ticket_check.o

KEYFILE_OBJS = \
	common/crypto/armour.o common/crypto/keyfile.o

# A program that links this as well holds no TLS: see the file.
NOTLS = $(O)/common/crypto/notls.o

FABRICD_OBJS = \
	fabricd/answers.o fabricd/conf.o fabricd/confsend.o fabricd/confset.o fabricd/connect.o fabricd/control.o fabricd/dirs.o \
	fabricd/dispatch.o fabricd/fabricd.o fabricd/keys.o fabricd/logs.o fabricd/netwatch.o \
	fabricd/priv.o fabricd/reload.o fabricd/request.o fabricd/rtnl.o fabricd/services.o fabricd/setup.o fabricd/sockets.o \
	fabricd/tun.o fabricd/wire.o fabricd/workers.o fabricd/parse.o \
	fabricd/signed.o fabricd/confroute.o fabricd/system.o

FABRICCTL_OBJS = \
	fabricctl/authority.o fabricctl/client.o fabricctl/connect.o fabricctl/identity.o fabricctl/json.o fabricctl/node.o \
	fabricctl/record.o fabricctl/route.o fabricctl/rows.o fabricctl/table.o fabricctl/top.o \
	fabricctl/policy.o fabricctl/policy_conf.o fabricctl/policy_parse.o fabricctl/policy_set.o fabricctl/policy_why.o \
	fabricctl/contents.o fabricctl/layers.o fabricctl/revoke.o

DATAPLANE_OBJS = \
	fabricd/dataplane/accept.o fabricd/dataplane/cid.o fabricd/dataplane/conf.o fabricd/dataplane/conn.o \
	fabricd/dataplane/dp.o fabricd/dataplane/express.o fabricd/dataplane/hop.o fabricd/dataplane/limits.o fabricd/dataplane/mtu.o \
	fabricd/dataplane/peer.o fabricd/dataplane/port.o fabricd/dataplane/protect.o \
	fabricd/dataplane/pressure.o fabricd/dataplane/qstream.o fabricd/dataplane/records.o fabricd/dataplane/show.o \
	fabricd/dataplane/stream.o fabricd/dataplane/switch.o fabricd/dataplane/timer.o fabricd/dataplane/tls.o \
	fabricd/dataplane/udp.o fabricd/dataplane/write.o \
	fabricd/dataplane/route.o fabricd/dataplane/reach.o fabricd/dataplane/move.o fabricd/dataplane/moved.o fabricd/dataplane/permit.o \
	fabricd/dataplane/opens.o fabricd/dataplane/probe.o fabricd/dataplane/target.o

ROUTED_OBJS = \
	routed/dirmsg.o routed/known.o routed/known_take.o routed/mesh.o routed/own.o routed/spread.o routed/store_known.o routed/sync.o \
	routed/answers.o routed/conf.o routed/directory.o routed/routed.o routed/services.o routed/store.o routed/targets.o \
	routed/asking.o routed/fences.o routed/history.o routed/install.o routed/manager.o routed/manager_ask.o routed/manager_event.o routed/manager_fence.o routed/manager_tell.o routed/route_answers.o routed/route_rows.o routed/route_rows_more.o routed/routemsg.o routed/routes.o routed/usage.o routed/usage_store.o routed/ways.o \
	routed/coordinator.o routed/sources.o routed/lease.o routed/leasestore.o routed/promises.o routed/subs.o

VPND_OBJS = \
	vpnd/checksum.o vpnd/classify.o vpnd/coalesce.o vpnd/conf.o vpnd/flow.o vpnd/frag.o vpnd/icmp.o vpnd/in.o \
	vpnd/ip.o vpnd/keys.o vpnd/keys_in.o vpnd/lpm.o vpnd/out.o vpnd/peers.o vpnd/port.o vpnd/segment.o vpnd/tun.o vpnd/vpnd.o

SVCHOSTD_OBJS = \
	svchostd/certify.o svchostd/delay.o svchostd/echo.o svchostd/hub.o svchostd/listen.o svchostd/local.o \
	svchostd/names.o svchostd/nodes.o \
	svchostd/pinger.o svchostd/pump.o svchostd/show.o svchostd/socks.o svchostd/svchostd.o svchostd/tcp.o \
	svchostd/unit.o

TELEMD_OBJS = \
	telemd/http.o telemd/openmetrics.o telemd/pages.o telemd/server.o telemd/telemd.o

UNIT = \
	tests/unit/check_middle tests/unit/check_lease_limits tests/unit/check_opens tests/unit/check_route_limits tests/unit/check_probe tests/unit/check_reach tests/unit/check_ring tests/unit/check_dirmsg tests/unit/check_facts tests/unit/check_far_services tests/unit/check_known tests/unit/check_known_store tests/unit/check_mesh tests/unit/check_own tests/unit/check_sync tests/unit/check_tenants tests/unit/check_dptenants \
	tests/unit/check_ipc_port tests/unit/check_shmring \
	tests/unit/check_aead tests/unit/check_checksum tests/unit/check_classify tests/unit/check_coalesce \
	tests/unit/check_conf tests/unit/check_confsend tests/unit/check_connect tests/unit/check_credit tests/unit/check_crypto \
	tests/unit/check_dataplane tests/unit/check_directory tests/unit/check_dprecords tests/unit/check_dptables tests/unit/check_e2e \
	tests/unit/check_dpstream tests/unit/check_e2e_stream tests/unit/check_echo \
	tests/unit/check_express tests/unit/check_flow tests/unit/check_frag tests/unit/check_frame tests/unit/check_govern tests/unit/check_pressure tests/unit/check_hostile \
	tests/unit/check_icmp tests/unit/check_identity tests/unit/check_ip tests/unit/check_ipc \
	tests/unit/check_keyfile tests/unit/check_lpm tests/unit/check_names tests/unit/check_noise tests/unit/check_openmetrics \
	tests/unit/check_ping tests/unit/check_procmsg tests/unit/check_pump tests/unit/check_rate tests/unit/check_record tests/unit/check_row tests/unit/check_rows \
	tests/unit/check_sched tests/unit/check_seal tests/unit/check_segment tests/unit/check_services tests/unit/check_session tests/unit/check_socks \
	tests/unit/check_stats tests/unit/check_store tests/unit/check_stream tests/unit/check_streamid \
	tests/unit/check_switch tests/unit/check_tcp tests/unit/check_tlv tests/unit/check_top tests/unit/check_varint \
	tests/unit/check_vpnd tests/unit/check_vpnd_keys tests/unit/check_worker \
	tests/unit/check_box tests/unit/check_system tests/unit/check_routed_conf tests/unit/check_signed \
	tests/unit/check_policy \
	tests/unit/check_asking tests/unit/check_install tests/unit/check_install_time tests/unit/check_routemsg tests/unit/check_routes tests/unit/check_routes_self tests/unit/check_sources tests/unit/check_usage \
	tests/unit/check_ways \
	tests/unit/check_policy tests/unit/check_policy_conf \
	tests/unit/check_graph tests/unit/check_ticket tests/unit/check_coordinator \
	tests/unit/check_manager tests/unit/check_told tests/unit/check_fences

FUZZERS = \
	tests/fuzz/fuzz_dirmsg tests/fuzz/fuzz_sync tests/fuzz/fuzz_routemsg \
	tests/fuzz/fuzz_facts \
	tests/fuzz/fuzz_shmring \
	tests/fuzz/fuzz_conf tests/fuzz/fuzz_cut tests/fuzz/fuzz_e2e tests/fuzz/fuzz_express tests/fuzz/fuzz_frag tests/fuzz/fuzz_frame tests/fuzz/fuzz_http tests/fuzz/fuzz_keyfile \
	tests/fuzz/fuzz_noise tests/fuzz/fuzz_packet tests/fuzz/fuzz_procmsg tests/fuzz/fuzz_record \
	tests/fuzz/fuzz_row tests/fuzz/fuzz_services tests/fuzz/fuzz_session tests/fuzz/fuzz_socks tests/fuzz/fuzz_stream tests/fuzz/fuzz_virtio \
	tests/fuzz/fuzz_box \
	tests/fuzz/fuzz_policy tests/fuzz/fuzz_policyconf \
	tests/fuzz/fuzz_ticket

NETTOOLS = \
	tests/net/badworker tests/net/ctlabuse tests/net/impair tests/net/launch tests/net/probe tests/net/tungive \
	tests/net/vpnd_pair

BENCHMARKS = \
	tests/bench/bench_move \
	tests/bench/bench_known \
	tests/bench/bench_beside tests/bench/bench_frame tests/bench/bench_idle tests/bench/bench_ipc tests/bench/bench_lease tests/bench/bench_seal tests/bench/bench_vpn tests/bench/floor tests/bench/link \
	tests/bench/load tests/bench/serve

SIM_OBJS = \
	tests/sim/app.o tests/sim/judge.o tests/sim/node.o tests/sim/sim.o tests/sim/world.o

ROUTES_SIM_OBJS = \
	tests/sim/routes.o tests/sim/routes_fake.o tests/sim/routes_judge.o tests/sim/routes_node.o \
	tests/sim/routes_policy.o tests/sim/routes_stream.o tests/sim/routes_world.o
