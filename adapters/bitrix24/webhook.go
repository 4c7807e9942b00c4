package bitrix24

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// Subscription is one handler of an event (sheet 6.1).
type Subscription struct {
	Event     string // in capitals
	Target    string // empty if it is offline
	UserID    ID     // on whose behalf events come with tokens; 0 is who acts
	Offline   bool
	Connector string // of an offline one
}

// ListSubscriptions lists the application's handlers by event.get (sheet 6.1); for a
// user who is no administrator only their own. Errors: ErrUnsupported for a webhook,
// and those of any read.
func ListSubscriptions(ctx context.Context, c *enlace.Conn) ([]Subscription, error) {
	const op = "event.get"
	var rows []fields
	if err := applicationOnly(read(ctx, c, op, map[string]any{}, &rows)); err != nil {
		return nil, err
	}
	list := make([]Subscription, len(rows))
	for i, row := range rows {
		list[i] = Subscription{Event: strings.ToUpper(row.text("event")), Target: row.text("handler"), Offline: yes(row["offline"]), Connector: row.text("connector_id")}
		if raw, there := row["auth_type"]; there && list[i].UserID.UnmarshalJSON(raw) != nil {
			return nil, noAnswer(op)
		}
	}
	return list, nil
}

// Subscribe has events delivered to target by event.bind (sheet 6.1), unless they are
// already; it sends the missing ones in batches and may be called again. target must be
// a public https address. All subscriptions vanish when the application is updated or
// removed: call it on each installation. Errors: ErrUnsupported for a webhook, which
// cannot subscribe; ErrInvalid for an unknown event or an address that the portal does
// not accept; and those of any call.
func Subscribe(ctx context.Context, c *enlace.Conn, target string, events ...string) error {
	return bind(ctx, c, events, Subscription{Target: target})
}

// Unsubscribe ends deliveries of the events to target by event.unbind (sheet 6.1). What
// is not subscribed is no error. Errors: ErrUnsupported for a webhook, and those of any
// call.
func Unsubscribe(ctx context.Context, c *enlace.Conn, target string, events ...string) error {
	return unbind(ctx, c, events, Subscription{Target: target})
}

// EnsureWebhook implements enlace.WebhookRegistrar by [Subscribe] for [CRMEvents] and
// [EventUninstall]. It is for applications: with an inbound webhook it is
// ErrUnsupported, and a person makes an outgoing webhook in the portal, whose token is
// the secret then.
//
// Bitrix24 sends its own proof and takes none: the secret must be the application token
// that came with the installation ([Account]); it is not sent, and without it no
// delivery could be verified, so that an empty one is ErrInvalid.
func (Adapter) EnsureWebhook(ctx context.Context, c *enlace.Conn, target string, secret enlace.Secret) error {
	if secret.IsZero() {
		return invalid("event.bind", "secret", "missing", "the application token that came with the installation")
	}
	return Subscribe(ctx, c, target, append(CRMEvents(), EventUninstall)...)
}

// RemoveWebhook implements enlace.WebhookRegistrar by event.get and event.unbind (sheet
// 6.1): whatever is delivered to target is so no longer. Errors: ErrUnsupported for a webhook, and those of any call.
func (Adapter) RemoveWebhook(ctx context.Context, c *enlace.Conn, target string) error {
	there, err := ListSubscriptions(ctx, c)
	if err != nil {
		return err
	}
	var events []string
	for _, s := range there {
		if s.Target == target && !s.Offline {
			events = append(events, s.Event)
		}
	}
	slices.Sort(events)
	return Unsubscribe(ctx, c, target, slices.Compact(events)...)
}

// bind makes the subscriptions that are missing. A second one for the same event and
// address is refused by the portal with words that are not documented, so that after a
// refusal it looks again what there is.
func bind(ctx context.Context, c *enlace.Conn, events []string, like Subscription) error {
	there, err := ListSubscriptions(ctx, c)
	if err != nil {
		return err
	}
	var commands []command
	for _, event := range events {
		if s := like.of(event); !slices.ContainsFunc(there, s.same) {
			commands = append(commands, s.command("event.bind"))
		}
	}
	var failed []error
	for _, a := range run(ctx, c, commands) {
		failed = append(failed, applicationOnly(a.err))
	}
	first := errors.Join(failed...)
	if first == nil {
		return nil
	}
	if there, err = ListSubscriptions(ctx, c); err != nil {
		return first
	}
	for _, event := range events {
		if !slices.ContainsFunc(there, like.of(event).same) {
			return first
		}
	}
	return nil
}

func unbind(ctx context.Context, c *enlace.Conn, events []string, like Subscription) error {
	var commands []command
	for _, event := range events {
		cmd := like.of(event).command("event.unbind")
		cmd.repeatable = true
		commands = append(commands, cmd)
	}
	var failed []error
	for _, a := range run(ctx, c, commands) {
		failed = append(failed, applicationOnly(a.err))
	}
	return errors.Join(failed...)
}

// of is the same subscription to another event.
func (s Subscription) of(event string) Subscription {
	s.Event = strings.ToUpper(event)
	return s
}

func (s Subscription) same(other Subscription) bool {
	return s.Event == other.Event && s.Offline == other.Offline && s.Target == other.Target && s.Connector == other.Connector
}

func (s Subscription) command(method string) command {
	params := map[string]any{"event": s.Event}
	if s.Offline {
		params["event_type"] = "offline"
	} else {
		params["handler"] = s.Target
	}
	if s.Connector != "" {
		params["auth_connector"] = s.Connector
	}
	return command{method: method, params: params, writes: true}
}

// applicationOnly makes clear what a webhook's refusal means (sheet 1.1, 2.4).
func applicationOnly(err error) error {
	if codeOf(err) != "WRONG_AUTH_TYPE" {
		return err
	}
	e, _ := errors.AsType[*enlace.Error](err)
	changed := *e
	changed.Kind = enlace.ErrUnsupported
	changed.Message = "events are for OAuth applications; with an inbound webhook, make an outgoing webhook in the portal instead"
	return &changed
}
