package bitrix24

import (
	"context"
	"encoding/json"

	"github.com/enlace-go/enlace"
)

// reservation is a part of a reserved set, in the token of an enlace.EventSet.
type reservation struct {
	Process string `json:"process"`
	IDs     []ID   `json:"ids"`
}

// PollEvents implements enlace.EventPoller by the offline events (sheet 6.6), which an
// application must have asked for by [SubscribeOffline]. It reserves up to 50 of them, by
// one call of event.offline.get. To recover, it reads again what is reserved and not
// acknowledged, by event.offline.list and event.offline.get, as much of it as fits; if
// there is nothing, it reserves. Events are hints, as those of ParseWebhook are; each has
// an ID of its own, and the same one when it is recovered. Errors: as [ReserveOffline].
func (Adapter) PollEvents(ctx context.Context, c *enlace.Conn, req enlace.PollRequest) (enlace.EventSet, error) {
	limit := min(max(req.Limit, 1), maxReserved)
	if req.Recover {
		if set, err := recoverOffline(ctx, c, limit); err != nil || len(set.Events) > 0 {
			return set, err
		}
	}
	set, err := ReserveOffline(ctx, c, limit)
	if err != nil {
		return enlace.EventSet{}, err
	}
	return eventSet([]OfflineSet{set}, len(set.Events) == limit)
}

// AckEvents implements enlace.EventPoller by event.offline.clear (sheet 6.6), for the
// entries of the set only. It may be repeated, and enlace does. Errors: ErrInvalid for a
// token that PollEvents did not make, and those of [ClearOffline].
func (Adapter) AckEvents(ctx context.Context, c *enlace.Conn, set enlace.EventSet) error {
	var parts []reservation
	if set.Token == "" {
		return nil // there was nothing
	}
	if json.Unmarshal([]byte(set.Token), &parts) != nil {
		return invalid("event.offline.clear", "token", "not one of PollEvents", "EventSet.Token")
	}
	for _, part := range parts {
		if len(part.IDs) == 0 {
			continue // without ids all of the set would be acknowledged
		}
		if err := ClearOffline(ctx, c, part.Process, part.IDs...); err != nil {
			return err
		}
	}
	return nil
}

// recoverOffline reads reserved sets again until limit entries are there.
func recoverOffline(ctx context.Context, c *enlace.Conn, limit int) (enlace.EventSet, error) {
	processes, err := ReservedOffline(ctx, c)
	if err != nil {
		return enlace.EventSet{}, err
	}
	var sets []OfflineSet
	for read := 0; len(processes) > 0 && read < limit; processes = processes[1:] {
		set, err := ResumeOffline(ctx, c, processes[0])
		if err != nil {
			return enlace.EventSet{}, err
		}
		set.Events = set.Events[:min(len(set.Events), limit-read)]
		read += len(set.Events)
		sets = append(sets, set)
	}
	return eventSet(sets, true) // if nothing more is reserved there may be new ones
}

// eventSet puts sets together.
func eventSet(sets []OfflineSet, more bool) (enlace.EventSet, error) {
	all := enlace.EventSet{More: more}
	var parts []reservation
	for _, set := range sets {
		part := reservation{Process: set.ProcessID}
		for _, e := range set.Events {
			event := enlace.Event{ID: set.ProcessID + "/" + number(e.ID), Type: e.Name, At: e.At.Time}
			if e.Entity != "" {
				event.Record = enlace.Record{Entity: e.Entity, ID: e.RecordID}
			}
			all.Events = append(all.Events, event)
			part.IDs = append(part.IDs, e.ID)
		}
		if len(part.IDs) > 0 {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return enlace.EventSet{}, nil
	}
	token, err := json.Marshal(parts)
	all.Token = string(token)
	return all, err
}
