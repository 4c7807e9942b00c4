package bitrix24

import (
	"context"

	"github.com/enlace-go/enlace"
)

// Fetch implements enlace.Fetcher by crm.item.get, many of them in one batch
// (sheet 5.2). The records are as Pull gives them, multifields and user fields
// included. One that the portal says is gone (NOT_FOUND) comes back as a tombstone;
// one that the account may not read is left out, since it may well exist (sheet
// 5.7), and if that is all there is, the error is ErrForbidden. Other errors:
// ErrUnsupported for an unknown entity, ErrInvalid for what is no id, ErrNotFound
// for a smart process that the portal does not have, and those of any read.
func (Adapter) Fetch(ctx context.Context, c *enlace.Conn, entity string, ids []string) ([]enlace.Record, error) {
	const op = "fetch"
	k, err := kindOf(op, entity)
	if err != nil {
		return nil, err
	}
	commands := make([]command, len(ids))
	for i, id := range ids {
		if err := checkID(op, id); err != nil {
			return nil, err
		}
		commands[i] = k.getCommand(id)
	}
	var records []enlace.Record
	var denied error
	gone := 0
	for i, a := range run(ctx, c, commands) {
		switch {
		case saysNotFound(a.err):
			records = append(records, enlace.Record{Entity: entity, ID: ids[i], Deleted: true})
			gone++
		case saysDenied(a.err):
			denied = a.err
		case a.err != nil:
			return nil, a.err
		default:
			record, err := k.record("crm.item.get", a.result)
			if err != nil {
				return nil, err
			}
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return nil, denied
	}
	if gone == len(records) {
		if err := k.checkExists(ctx, c); err != nil {
			return nil, err
		}
	}
	return records, nil
}
