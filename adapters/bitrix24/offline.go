package bitrix24

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/enlace-go/enlace"
)

// Offline events are the reliable way to hear of changes, deletions included: the
// portal keeps them until they are fetched, where an ordinary event that is not taken
// at once is lost (sheet 6.5, 6.6). They need an OAuth application, a token of an
// administrator, and a plan with the features of [HasFeature]. All functions pass the
// setting "connector": the queue is split by it.

// OfflineEvent is an entry of the queue (sheet 6.6). Changes of one record by one kind
// of event are one entry, with the time of the last. It is a hint, as [Event] is.
type OfflineEvent struct {
	ID        ID              `json:"ID"`
	At        Time            `json:"TIMESTAMP_X"`
	Name      string          `json:"EVENT_NAME"`
	Data      json.RawMessage `json:"EVENT_DATA"` // not documented; see Entity and RecordID
	MessageID json.RawMessage `json:"MESSAGE_ID"` // opaque; a number or a text
	ProcessID string          `json:"PROCESS_ID"` // of ListOffline only: empty until it is reserved
	Failed    ID              `json:"ERROR"`      // of ListOffline only: 1 after FailOffline
	Entity    string          `json:"-"`          // whom it is about, as in [Event]
	RecordID  string          `json:"-"`
}

// OfflineSet is what one reader has reserved: no other gets it. It is kept for 30 days.
type OfflineSet struct {
	ProcessID string // empty if there was nothing
	Events    []OfflineEvent
}

// SubscribeOffline has the portal record events by event.bind (sheet 6.6), unless it
// does already; it may be called again. Errors: as [Subscribe]; ErrForbidden without
// administrator rights or where the plan lacks it.
func SubscribeOffline(ctx context.Context, c *enlace.Conn, events ...string) error {
	return bind(ctx, c, events, Subscription{Offline: true, Connector: connector(c)})
}

// UnsubscribeOffline ends the recording of events by event.unbind (sheet 6.6).
// Errors: as [SubscribeOffline].
func UnsubscribeOffline(ctx context.Context, c *enlace.Conn, events ...string) error {
	return unbind(ctx, c, events, Subscription{Offline: true, Connector: connector(c)})
}

// maxReserved is how many entries one reader takes at once: as many as it gets when it
// reads a set again, or those behind would be acknowledged unseen.
const maxReserved = 50

// ReserveOffline takes up to limit entries for us by event.offline.get with clear=0,
// oldest first; 0 is 50, which is the most (sheet 6.6). Then process them, and acknowledge the set by
// [ClearOffline]: that way none is lost, and after a crash [ResumeOffline] gives the
// set again. It is sent once: after a lost answer a set may be reserved whose id nobody
// knows, which [ReservedOffline] finds. Errors: ErrInvalid, ErrUnsupported for a webhook,
// ErrForbidden, and those of any call.
func ReserveOffline(ctx context.Context, c *enlace.Conn, limit int) (OfflineSet, error) {
	if limit < 0 || limit > maxReserved {
		return OfflineSet{}, invalid("event.offline.get", "limit", "out of range", "0 to 50")
	}
	params := map[string]any{"clear": 0}
	if limit > 0 {
		params["limit"] = limit
	}
	return getOffline(ctx, c, params, false)
}

// ResumeOffline reads again up to 50 entries of a reserved set that are not
// acknowledged yet (sheet 6.6). Errors: as [ReserveOffline].
func ResumeOffline(ctx context.Context, c *enlace.Conn, processID string) (OfflineSet, error) {
	if processID == "" {
		return OfflineSet{}, invalid("event.offline.get", "processID", "missing", "that of a set which was reserved")
	}
	return getOffline(ctx, c, map[string]any{"clear": 0, "process_id": processID}, true)
}

func getOffline(ctx context.Context, c *enlace.Conn, params map[string]any, repeatable bool) (OfflineSet, error) {
	var result struct {
		ProcessID *string        `json:"process_id"`
		Events    []OfflineEvent `json:"events"`
	}
	if err := applicationOnly(write(ctx, c, "event.offline.get", withConnector(c, params), repeatable, &result)); err != nil {
		return OfflineSet{}, err
	}
	set := OfflineSet{Events: result.Events}
	locate(set.Events)
	if len(set.Events) > 0 && result.ProcessID != nil {
		set.ProcessID = *result.ProcessID
	}
	if len(set.Events) > 0 && set.ProcessID == "" {
		return OfflineSet{}, noAnswer("event.offline.get")
	}
	return set, nil
}

func locate(events []OfflineEvent) {
	for i := range events {
		events[i].Entity, events[i].RecordID = eventOfJSON(events[i].Name, events[i].Data)
	}
}

// ClearOffline acknowledges a reserved set by event.offline.clear, or the entries of it
// that have these ids (sheet 6.6). It may be repeated, and enlace does. Errors: as
// [ReserveOffline].
func ClearOffline(ctx context.Context, c *enlace.Conn, processID string, ids ...ID) error {
	params := map[string]any{"process_id": processID}
	if len(ids) > 0 {
		params["id"] = ids
	}
	return applicationOnly(write(ctx, c, "event.offline.clear", withConnector(c, params), true, nil))
}

// FailOffline marks entries of a reserved set as failed by event.offline.error: they
// stay in the queue with Failed set, and are not given to readers (sheet 6.6). It may
// be repeated, and enlace does. Errors: as [ReserveOffline].
func FailOffline(ctx context.Context, c *enlace.Conn, processID string, events ...OfflineEvent) error {
	ids := make([]json.RawMessage, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	params := map[string]any{"process_id": processID, "message_id": ids}
	return applicationOnly(write(ctx, c, "event.offline.error", withConnector(c, params), true, nil))
}

// ListOffline shows the queue, reserved entries too, by event.offline.list, and changes
// nothing (sheet 6.6). More than 5,000 entries are ErrCursorStalled. Errors: as
// [ReserveOffline].
func ListOffline(ctx context.Context, c *enlace.Conn) ([]OfflineEvent, error) {
	list, err := listAll[OfflineEvent](ctx, c, "event.offline.list", withConnector(c, map[string]any{"order": map[string]string{"ID": "ASC"}}))
	locate(list)
	return list, applicationOnly(err)
}

// ReservedOffline lists the process ids of sets that are reserved and neither
// acknowledged nor failed (sheet 6.6): those of readers at work, and of those that crashed. A
// reader that is the only one resumes them when it starts. Errors: as [ListOffline].
func ReservedOffline(ctx context.Context, c *enlace.Conn) ([]string, error) {
	list, err := ListOffline(ctx, c)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range list {
		if e.ProcessID != "" && e.Failed == 0 && !slices.Contains(ids, e.ProcessID) {
			ids = append(ids, e.ProcessID)
		}
	}
	return ids, nil
}

// ProcessOffline reserves up to limit entries, gives them to handle, and acknowledges
// them when it returns nil: each is handled once or, after a crash or a lost
// acknowledgment, again (sheet 6.6). It returns the set; its Events are empty when there is nothing
// to do. If handle fails the set stays reserved: give its id to [ResumeOffline].
// Errors: handle's, and those of [ReserveOffline] and [ClearOffline].
func ProcessOffline(ctx context.Context, c *enlace.Conn, limit int, handle func(context.Context, []OfflineEvent) error) (OfflineSet, error) {
	set, err := ReserveOffline(ctx, c, limit)
	if err != nil || len(set.Events) == 0 {
		return set, err
	}
	if err := handle(ctx, set.Events); err != nil {
		return set, err
	}
	return set, ClearOffline(ctx, c, set.ProcessID)
}
