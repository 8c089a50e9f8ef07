#include "fabric/streamid.h"

#include "wire/frame.h"
#include "wire/varint.h"

void
stream_ids_init(struct stream_ids *ids, bool initiator)
{
	ids->next = initiator ? 2 : 1;
	ids->peer_last = 0;
}

bool
stream_id_is_own(const struct stream_ids *ids, uint64_t id)
{
	return (id & 1) == (ids->next & 1);
}

int
stream_id_accept(struct stream_ids *ids, uint64_t id)
{
	if (id == 0 || id > VARINT_MAX)
		return STREAM_ID_E_RANGE;
	if (stream_id_is_own(ids, id))
		return STREAM_ID_E_PARITY;
	if (id <= ids->peer_last)
		return STREAM_ID_E_REUSED;
	ids->peer_last = id;
	return STREAM_ID_OK;
}

uint64_t
stream_id_alloc(struct stream_ids *ids)
{
	uint64_t id = ids->next;

	if (id > FRAME_DATAGRAM_STREAM_MAX)
		return 0;
	ids->next += 2;
	return id;
}

bool
stream_id_was_used(const struct stream_ids *ids, uint64_t id)
{
	if (id == 0)
		return false;
	return stream_id_is_own(ids, id) ? id < ids->next : id <= ids->peer_last;
}

uint64_t
stream_id_last_accepted(const struct stream_ids *ids)
{
	return ids->peer_last;
}

const char *
stream_id_strerror(int err)
{
	switch (err) {
	case STREAM_ID_OK:
		return "no error";
	case STREAM_ID_E_RANGE:
		return "not a stream id";
	case STREAM_ID_E_PARITY:
		return "a stream id of the other side's";
	case STREAM_ID_E_REUSED:
		return "a stream id that is not above those before it";
	default:
		return "unknown";
	}
}
