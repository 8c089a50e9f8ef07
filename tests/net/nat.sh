#!/bin/bash
# Two nodes behind NATs of their own, which know each other by id alone, and a relay that both can reach: they get a session
# of their own, since each dials where the relay sees the other, and so opens its NAT for what the other sends.
#
#	a 10.1.0.2 -- 10.1.0.1 n1 10.9.1.2 --.
#	                                      r 10.9.1.1, 10.9.2.1 (the relay)
#	b 10.2.0.2 -- 10.2.0.1 n2 10.9.2.2 --'
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/net/lib.sh
. tests/net/lib.sh
sandbox "$@"

for h in a n1 r n2 b; do host "$h"; done
link a 10.1.0.2/24 n1 10.1.0.1/24
link n1 10.9.1.2/24 r 10.9.1.1/24
link b 10.2.0.2/24 n2 10.2.0.1/24
link n2 10.9.2.2/24 r 10.9.2.1/24
router r
# Like a home's router: what nobody inside has asked for is dropped.
for n in 1 2; do
	router n$n
	ip -n n$n route add default via 10.9.$n.1
	in_ n$n nft -f - <<-NFT
		table ip nat {
			chain out { type nat hook postrouting priority 100; oifname r masquerade; }
			chain in { type filter hook input priority 0; iifname r drop; }
		}
	NFT
done
ip -n a route add default via 10.1.0.1
ip -n b route add default via 10.2.0.1
node a 10.1.0.2 10.77.0.1 service-host
node b 10.2.0.2 10.77.0.2 service-host
node r 10.9.1.1 10.77.0.3 relay,entry,route-coordinator
sed -i "s/^listen on .*/listen on 0.0.0.0 port $PORT/" "$W/r/fabricd.conf"
echo 'relay { yes }' >>"$W/r/fabricd.conf"
peer a r
node_addr[r]=10.9.2.1
peer b r
echo "peer \"b\" { id ${node_id[b]} }" >>"$W/a/fabricd.conf"
echo "peer \"a\" { id ${node_id[a]} }" >>"$W/b/fabricd.conf"
start r a b
t 'each is seen at its NAT' wait_for 30 rows '"10.9.1.2:" in by["a"]["addresses"] and "10.9.2.2:" in by["b"]["addresses"]' r show nodes
t 'they get a session of their own, that neither NAT would have let in' wait_for 60 rows 'by["b"]["state"] == "neighbour"' a show nodes
first_is_session() { rows 'any(r.get("to") == "b" and r["route"] == "session" and r["first"] == "all" for r in rows)' a show routes; }
t 'packets go by it rather than over the relay' wait_for 20 first_is_session
stop r
t 'also when the relay is gone' in_ a ping -c 3 -i 0.2 -W 2 10.77.0.2
finish
