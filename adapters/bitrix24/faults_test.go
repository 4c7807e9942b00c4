package bitrix24_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

// faultNames are the kinds of faults.
var faultNames = map[bitrix24test.FaultKind]string{
	bitrix24test.HTML500: "HTML 500", bitrix24test.HTML502: "HTML 502", bitrix24test.HTML200: "HTML 200",
	bitrix24test.Hang: "hang", bitrix24test.Reset: "reset",
	bitrix24test.TruncatedJSON: "truncated", bitrix24test.BrokenBody: "broken body", bitrix24test.SlowDrip: "slow drip",
	bitrix24test.RateLimited: "rate limited", bitrix24test.Overloaded: "overloaded", bitrix24test.OperatingLimit: "operating limit",
	bitrix24test.ExpiredToken: "expired token", bitrix24test.Refuse: "internal error",
}

// TestFaults lets each kind of fault happen once, for a while and for ever, in
// the first calls, in batches and in single commands. Either the run gets over
// it, with every record once, or it ends in bounded time with an error of the
// right kind, and the next run completes it.
func TestFaults(t *testing.T) {
	unavailable, protocol, limited := enlace.ErrUnavailable, enlace.ErrProtocol, enlace.ErrRateLimited
	forever := map[bitrix24test.FaultKind]error{ // what a fault that does not end stands for
		bitrix24test.HTML500: unavailable, bitrix24test.HTML502: unavailable, bitrix24test.HTML200: protocol,
		bitrix24test.Hang: unavailable, bitrix24test.Reset: unavailable, bitrix24test.TruncatedJSON: protocol,
		bitrix24test.BrokenBody: unavailable, bitrix24test.SlowDrip: unavailable, bitrix24test.RateLimited: limited,
		bitrix24test.Overloaded: enlace.ErrForbidden, bitrix24test.OperatingLimit: limited,
		bitrix24test.ExpiredToken: enlace.ErrAuth, bitrix24test.Refuse: unavailable,
	}
	// Those that are an error as soon as a whole call meets them.
	final := map[bitrix24test.FaultKind]bool{bitrix24test.Overloaded: true, bitrix24test.OperatingLimit: true, bitrix24test.ExpiredToken: true}
	for kind, name := range faultNames {
		for _, place := range []struct {
			name, method string
			after        int
			commands     bool
			lanes        string
		}{
			{name: "first call", method: "crm.item.list"},
			{name: "both first calls", method: "", lanes: "10"},
			{name: "batch", method: "batch", after: 2},
			{name: "command", method: "crm.item.list", after: 5, commands: true, lanes: "2"},
			{name: "page", method: "crm.item.list", after: 5, lanes: "1"},
		} {
			if place.commands && kind < bitrix24test.RateLimited {
				continue // these spoil whole requests only
			}
			for _, times := range []int{1, 25, -1} {
				bubble(t, fmt.Sprintf("%s, %s, %d times", name, place.name, times), func(t *testing.T) {
					const contacts = 380
					portal := busyPortal(bitrix24test.Options{}, contacts)
					h := webhookHost(t, portal, map[string]string{"lanes": place.lanes})
					portal.Fault(bitrix24test.Fault{Method: place.method, Kind: kind, After: place.after, Times: times, Delay: 40 * time.Second,
						Status: 500, Code: "INTERNAL_SERVER_ERROR", Description: "at " + portal.WebhookURL()})
					into := newInbox()
					started := time.Now()
					_, err := h.sync(into, enlace.SyncOptions{})
					took := time.Since(started)
					if most := 2 * time.Hour; took > most {
						t.Errorf("took %v, want at most %v", took, most)
					}
					switch {
					case err != nil && !errors.Is(err, forever[kind]):
						t.Errorf("is %v, want %v", err, forever[kind])
					case err != nil && times == 1 && !(final[kind] && !place.commands) && kind != bitrix24test.Overloaded:
						t.Errorf("a single fault ended the run: %v", err)
					case err != nil && place.method == "batch" && kind != bitrix24test.Overloaded && kind != bitrix24test.ExpiredToken && kind != bitrix24test.OperatingLimit:
						t.Errorf("batches fail, but page by page it would go on: %v", err)
					case err == nil && times < 0 && place.method != "batch":
						t.Error("no error")
					}
					portal.ClearFaults()
					time.Sleep(11 * time.Minute)
					h.restart()
					// Nothing changed since, so a complete run is followed by an empty one.
					h.syncAll(into, enlace.SyncOptions{})
					into.wantOnce(t, layoutIDs(contacts))
					h.showsNoSecret(secretOf(portal))
				})
			}
		}
	}
}

func layoutIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return ids
}

// TestFaultsLoseNothingWhereverTheWalkIsCut cuts a walk with faulty commands
// behind each of its pages and goes on in a new process.
func TestFaultsLoseNothingWhereverTheWalkIsCut(t *testing.T) {
	for _, kind := range []bitrix24test.FaultKind{bitrix24test.RateLimited, bitrix24test.OperatingLimit, bitrix24test.Refuse, bitrix24test.ExpiredToken} {
		for after := range 2 {
			bubble(t, fmt.Sprintf("%s, after %d", faultNames[kind], 3+3*after), func(t *testing.T) {
				ids := layoutIDs(500)
				for pages := 1; ; pages++ {
					portal := busyPortal(bitrix24test.Options{}, len(ids))
					h := webhookHost(t, portal, map[string]string{"lanes": "2"})
					for burst := range 3 {
						portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: kind, After: 3 + 3*after + 2*burst, Times: 1, Status: 500, Code: "INTERNAL_SERVER_ERROR"})
					}
					read, page, err := h.pull(enlace.PullRequest{}, pages)
					if err != nil {
						t.Fatal(err)
					}
					if page.Done {
						wantIDs(t, read, ids)
						return
					}
					portal.ClearFaults()
					h.restart()
					rest, _, err := h.pull(enlace.PullRequest{Cursor: page.Next}, 0)
					if err != nil {
						t.Fatal(err)
					}
					wantIDs(t, append(read, rest...), ids)
				}
			})
		}
	}
}

// TestUsedUpAllowanceIsWaitedFor has all batches under way refused at once, as
// when another program has used up the method's run time.
func TestUsedUpAllowanceIsWaitedFor(t *testing.T) {
	for _, perCommand := range []time.Duration{0, 300 * time.Millisecond} {
		bubble(t, perCommand.String(), func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, RoundTrip: 50 * time.Millisecond, ServerTime: func(string) time.Duration { return perCommand }})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 4_000})
			h := webhookHost(t, portal, map[string]string{"lanes": "50"})
			portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.OperatingLimit, After: 20, Times: 100})
			into := newInbox()
			started := time.Now()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, layoutIDs(4_000))
			if took := time.Since(started); took < time.Minute || took > 25*time.Minute {
				t.Errorf("took %v; nothing falls free in less than a minute, and all of it in ten", took)
			}
		})
	}
}

// TestAllowanceSmallerThanPublished reads from a portal that allows each method
// 60 s in ten minutes: the published figure is an example (sheet 3.2).
func TestAllowanceSmallerThanPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, Limits: &bitrix24test.Limits{Threshold: 50, Leak: 2, Operating: 60 * time.Second},
			RoundTrip: 50 * time.Millisecond, ServerTime: func(string) time.Duration { return 2 * time.Second }})
		portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 5_000})
		h := webhookHost(t, portal, nil)
		into := newInbox()
		started := time.Now()
		h.syncAll(into, enlace.SyncOptions{})
		into.wantOnce(t, layoutIDs(5_000))
		if took := time.Since(started); took < 15*time.Minute || took > 45*time.Minute {
			t.Errorf("took %v; 200 s of run time need at least two more windows of 60 s", took)
		}
	})
}

// TestAllowanceIsSharedByEntities reads two entities whose commands use up more
// than the allowance of crm.item.list together.
func TestAllowanceIsSharedByEntities(t *testing.T) {
	for _, lanes := range []string{"1", "10"} {
		bubble(t, "lanes "+lanes, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{UserFields: noUserFields, Limits: bitrix24test.CloudLimits(), RoundTrip: 50 * time.Millisecond,
				ServerTime: func(method string) time.Duration {
					if method == "crm.item.list" {
						return 6 * time.Second
					}
					return 0
				}})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 3_000})
			portal.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 3_000, Stride: 3})
			h := webhookHost(t, portal, map[string]string{"lanes": lanes})
			started := time.Now()
			result := h.syncAll(newInbox(), enlace.SyncOptions{Entities: []string{"contacts", "deals"}})
			if result.Entities["contacts"].Read != 3_000 || result.Entities["deals"].Read != 3_000 {
				t.Errorf("%+v", result.Entities)
			}
			if stats := portal.Stats(); stats.Refused != 0 {
				t.Errorf("%d requests or commands were refused", stats.Refused)
			}
			if took := time.Since(started); took < 10*time.Minute || took > 20*time.Minute {
				t.Errorf("took %v; 720 s of run time do not fit into one window of 480 s", took)
			}
		})
	}
}

// TestPortalThatPunishesConcurrency refuses whatever arrives beside n others.
func TestPortalThatPunishesConcurrency(t *testing.T) {
	for n := 1; n <= 4; n++ {
		for _, lanes := range []string{"10", "50"} {
			bubble(t, fmt.Sprintf("%d at a time, lanes %s", n, lanes), func(t *testing.T) {
				portal := busyPortal(bitrix24test.Options{}, 2_000)
				portal.SetPunishConcurrency(n)
				h := webhookHost(t, portal, map[string]string{"lanes": lanes})
				into := newInbox()
				h.syncAll(into, enlace.SyncOptions{})
				into.wantOnce(t, layoutIDs(2_000))
			})
		}
	}
}

// TestOutageMakesTheWalkSlowerOnlyOnce has all batches under way fail together:
// that is one reason to take fewer lanes, not ten.
func TestOutageMakesTheWalkSlowerOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{}, 15_000)
		h := webhookHost(t, portal, map[string]string{"retryAttempts": "0"})
		portal.Fault(bitrix24test.Fault{Method: "batch", Kind: bitrix24test.HTML502, Times: 10})
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		into.wantOnce(t, layoutIDs(15_000))
		if pages := portal.Stats().Methods["crm.item.list"].Requests; pages != 2 {
			t.Errorf("%d calls page by page, want the first two only", pages)
		}
	})
}

func TestTimeoutIsRespected(t *testing.T) {
	for _, place := range []string{"crm.item.list", "batch"} {
		bubble(t, place, func(t *testing.T) {
			portal := bitrix24test.New(bitrix24test.Options{})
			portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 2_000})
			h := webhookHost(t, portal, map[string]string{"timeout": "700", "retryAttempts": "1"})
			portal.Fault(bitrix24test.Fault{Method: place, Kind: bitrix24test.Hang, Times: 1})
			into := newInbox()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, layoutIDs(2_000))
			hung := 0
			for _, o := range h.observations {
				if done, ok := o.(enlace.RequestDone); ok && done.Kind != "" {
					if hung++; done.Duration != 700*time.Millisecond {
						t.Errorf("a request hung for %v", done.Duration)
					}
				}
			}
			if hung != 1 {
				t.Errorf("%d requests hung", hung)
			}
		})
	}
}

// TestErrorsOfCommandsAreTheSheets ends a walk by what a command is refused for.
func TestErrorsOfCommandsAreTheSheets(t *testing.T) {
	for code, kind := range map[string]error{
		"ACCESS_DENIED": enlace.ErrForbidden, "insufficient_scope": enlace.ErrForbidden, "INVALID_ARG_VALUE": enlace.ErrInvalid,
		"NOT_FOUND": enlace.ErrNotFound, "100": enlace.ErrInvalid, "ERROR_BATCH_METHOD_NOT_ALLOWED": enlace.ErrInvalid, "": enlace.ErrForbidden,
	} {
		bubble(t, code, func(t *testing.T) {
			portal := busyPortal(bitrix24test.Options{}, 1_000)
			h := webhookHost(t, portal, nil)
			portal.Fault(bitrix24test.Fault{Method: "crm.item.list", Kind: bitrix24test.Refuse, After: 12, Times: 3, Code: code,
				Description: map[bool]string{true: "Access denied.", false: "secret " + secretOf(portal)}[code == ""]})
			into := newInbox()
			_, err := h.sync(into, enlace.SyncOptions{})
			e, ok := errors.AsType[*enlace.Error](err)
			if !ok || !errors.Is(err, kind) || e.Code != code || !strings.Contains(err.Error(), "crm.item.list") {
				t.Errorf("%v", err)
			}
			portal.ClearFaults()
			h.syncAll(into, enlace.SyncOptions{})
			into.wantOnce(t, layoutIDs(1_000))
			h.showsNoSecret(secretOf(portal))
		})
	}
}

// TestAnswerTooLargeIsReadInSmallerPieces has a host that bounds answers tightly.
func TestAnswerTooLargeIsReadInSmallerPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		portal := busyPortal(bitrix24test.Options{}, 1_000)
		h := webhookHost(t, portal, map[string]string{"lanes": "2"})
		h.config.MaxBody = 200_000 // three pages
		h.restart()
		into := newInbox()
		h.syncAll(into, enlace.SyncOptions{})
		into.wantOnce(t, layoutIDs(1_000))
	})
}
