// Package rdstation holds the adapters for RD Station: its marketing automation
// and its CRM.
//
// The two products have different hosts, applications and tokens, and a token of
// one is refused by the other, so there is one adapter for each, and one for the
// first version of the CRM's API, which works with a user's token instead of
// OAuth 2.0:
//
//   - [Marketing], "rdstation": contacts, events, segmentations, e-mails, landing
//     pages, workflows, campaigns and analytics
//   - [CRM], "rdstation_crm": contacts, organizations, deals, tasks, products and
//     pipelines by API version 2
//   - [CRMv1], "rdstation_crm_v1": the same by API version 1
//
// Beside the raw records, Marketing and CRM have typed methods for everything
// that the API offers. They take the [enlace.Conn] of an integration of theirs:
//
//	marketing := &rdstation.Marketing{}
//	registry := enlace.NewRegistry(marketing, rdstation.CRM{}, rdstation.CRMv1{})
//	…
//	conn, err := service.Conn(ctx, ref)
//	id, err := marketing.Send(ctx, conn, rdstation.Conversion{Identifier: "newsletter", Email: "bia@example.com"})
//
// # Limits
//
// Marketing counts requests by kind, per account and per contact. Marketing keeps
// within all of these limits by itself (see [Marketing]); the CRM has one limit for
// everything, which enlace's own pacing keeps. Other applications of the same
// account spend from the same limits, so that a refusal is possible all the same;
// it is waited out, or told by [enlace.RetryAfter] if it lasts.
//
// # What cannot be read
//
// Marketing has no "changed since" filter: edits of a contact, imports and
// deletions are not observable, only conversions are (entity "converted_contacts").
// Neither product tells of deletions when it is read; the CRM's webhooks do.
//
// Section numbers in comments are those of the RD Station contract sheet.
package rdstation

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/enlace-go/enlace"
)

// The adapters' registry keys.
const (
	MarketingName = "rdstation"
	CRMName       = "rdstation_crm"
	CRMv1Name     = "rdstation_crm_v1"
)

// The auth schemes.
const (
	SchemeOAuth  = "oauth"   // OAuth 2.0: classic for Marketing, unified for CRM (sheet 1.1)
	SchemeAPIKey = "api_key" // Marketing, conversions only: secret "api_key" (sheet 1.4)
	SchemeToken  = "token"   // CRMv1: a CRM user's token, secret "api_key" (sheet 1.4)
)

const (
	version = "0.1.0"
	docsURL = "https://developers.rdstation.com/reference"
)

// jsonHeader goes with every request: the provider wants it on reads too (sheet 0.3).
func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// overlapSetting is how far before the last run a run by change begins.
func overlapSetting(seconds string) enlace.Field {
	return enlace.Field{Name: "overlap", Label: "Overlap (s)", Kind: enlace.FieldInteger, Default: seconds, Min: 0, Max: 7 * 86400,
		Help: "How far before the last run a run by change begins, in seconds."}
}

func overlap(c *enlace.Conn) time.Duration {
	seconds, _ := strconv.Atoi(c.Setting("overlap")) // validated as an integer
	return time.Duration(seconds)*time.Second + c.Clock().Spread
}

// clock is the provider's at the time of an answer, or what others have told of it.
func clock(c *enlace.Conn, h http.Header) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t.UTC()
	}
	return c.Clock().Reached(time.Now()).UTC().Truncate(time.Second)
}

// idForm is what ids look like: numbers, UUIDs, hexadecimal.
var idForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// pathID keeps anything but an id out of a path.
func pathID(id string) (string, error) {
	if !idForm.MatchString(id) {
		return "", invalid("address a record", "the id is empty or not of the provider's form")
	}
	return id, nil
}

// supports returns ErrUnsupported unless the entity has the operation.
func supports(d enlace.Descriptor, entity string, op enlace.Operation) error {
	if e, ok := d.Entity(entity); ok && e.Can(op) {
		return nil
	}
	return &enlace.Error{Provider: d.Name, Op: string(op), Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun,
		Message: "no such entity, or it does not have the operation"}
}

// invalid is for what the caller got wrong; nothing was sent.
func invalid(op, message string) *enlace.Error {
	return &enlace.Error{Op: op, Kind: enlace.ErrInvalid, Outcome: enlace.OutcomeNotRun, Message: message}
}

// malformed is for an answer that is not what the contract says. It leaves open
// what became of a write.
func malformed(op string, err error) *enlace.Error {
	return &enlace.Error{Op: op, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeUnknown, Err: err}
}

func cursorExpired() error {
	return &enlace.Error{Op: "pull", Kind: enlace.ErrCursorExpired, Outcome: enlace.OutcomeNotRun}
}
