package zapsign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
)

const (
	// lookups are when a create whose answer was lost is looked for, before the
	// last time at the end of the settle time. Lists are up to a minute old.
	lookupSoon, lookupFresh, lookupAgain = 5 * time.Second, 65 * time.Second, 180 * time.Second

	maxFolderPath  = 255 // bytes (sheet 2.1.1)
	maxFolder      = 50
	maxFolderDepth = 5
)

// creation is a create that is carried out once, however often it is asked for.
type creation struct {
	op string
	// find returns what an earlier try has created; nil if there is nothing.
	find func(ctx context.Context) (json.RawMessage, error)
	send enlace.Call
}

// run looks for what an earlier try has created, and creates it if there is
// nothing. It never sends the create twice: if the answer is lost, it looks again
// until the settle time is over (sheet 7).
func (n creation) run(ctx context.Context, c *enlace.Conn) (body json.RawMessage, created bool, err error) {
	if body, err = n.find(ctx); err != nil || body != nil {
		return body, false, err
	}
	body, lost := write(ctx, c, n.send)
	if lost == nil {
		return body, true, nil
	}
	if !inDoubt(lost) {
		return nil, false, lost
	}
	started, settle, looked := time.Now(), seconds(c, "settle"), error(nil)
	for _, after := range []time.Duration{lookupSoon, min(lookupFresh, settle), min(lookupAgain, settle), settle} {
		if !sleep(ctx, time.Until(started.Add(after))) {
			return nil, false, lost
		}
		if body, looked = n.find(ctx); looked == nil && body != nil {
			return body, true, nil
		}
	}
	if looked != nil {
		return nil, false, lost
	}
	return nil, false, &enlace.Error{Provider: Name, Op: n.op, Kind: enlace.ErrUnavailable, Outcome: enlace.OutcomeNotRun,
		Message: "the answer was lost, and nothing was created within the settle time; it may be sent again", Err: lost}
}

// write sends a write whose answer is the object that was written. A good answer
// without an object that has a token leaves open what happened.
func write(ctx context.Context, c *enlace.Conn, call enlace.Call) (json.RawMessage, error) {
	var body json.RawMessage
	if err := c.Do(ctx, call, &body); err != nil {
		return nil, err
	}
	var object struct{ Token string }
	if json.Unmarshal(body, &object) != nil || object.Token == "" {
		return nil, &enlace.Error{Provider: Name, Op: call.Op, Kind: enlace.ErrProtocol, Outcome: enlace.OutcomeUnknown,
			Status: http.StatusOK, Message: "the answer names no token"}
	}
	return body, nil
}

// inDoubt says whether a request that failed may have taken effect.
func inDoubt(err error) bool {
	e, ok := errors.AsType[*enlace.Error](err)
	return ok && (e.Outcome == enlace.OutcomeUnknown || errors.Is(e.Kind, enlace.ErrTooLarge))
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// createDocument carries out a create of a document, once if there is a key.
func createDocument(ctx context.Context, c *enlace.Conn, op, path string, fields map[string]json.RawMessage, key string) (json.RawMessage, bool, error) {
	send := enlace.Call{Method: http.MethodPost, Path: path, Body: fields, Op: op}
	if key == "" {
		body, err := write(ctx, c, send)
		return body, err == nil, err
	}
	search, err := keyFields(c, op, fields, key)
	if err != nil {
		return nil, false, err
	}
	external := textOf(fields, "external_id")
	find := func(ctx context.Context) (json.RawMessage, error) { return findDocument(ctx, c, op, search, external) }
	return creation{op, find, send}.run(ctx, c)
}

// keyFields writes the key into a create: the external id, and a folder that
// holds nothing else, by which the document is found again (sheet 7). It returns
// the filter that finds it.
func keyFields(c *enlace.Conn, op string, fields map[string]json.RawMessage, key string) (search url.Values, err error) {
	if textOf(fields, "external_id") == "" {
		setText(fields, "external_id", key)
	}
	if textOf(fields, "folder_token") != "" { // it wins over any path: the weaker way
		search = url.Values{}
		if email := firstEmail(fields); email != "" {
			search.Set("signer_email", email)
		}
		return search, nil
	}
	parent := textOf(fields, "folder_path")
	if strings.Trim(parent, "/") == "" {
		parent = c.Setting("folder")
	}
	folder := "/" + strings.Trim(parent, "/") + "/" + folderName(key) + "/"
	if fault := checkFolder(folder); fault != "" {
		return nil, invalid(op, "folder_path", "no room for a folder of the key: "+fault, "at most 4 levels, and 200 bytes in all")
	}
	setText(fields, "folder_path", folder)
	return url.Values{"folder_path": {folder}}, nil
}

// folderName makes the name of a folder of a key: the key itself where it can be
// one, or else its hash.
func folderName(key string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
	}
	if len(key) <= maxFolder && strings.TrimFunc(key, plain) == "" {
		return key
	}
	hash := sha256.Sum256([]byte(key))
	return hex.EncodeToString(hash[:20])
}

// checkFolder says what is wrong with a folder's path (sheet 2.1.1).
func checkFolder(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(path) > maxFolderPath {
		return "longer than 255 bytes"
	}
	if len(parts) > maxFolderDepth {
		return "more than 5 levels"
	}
	for _, part := range parts {
		if len(part) > maxFolder {
			return "a folder's name is longer than 50 bytes"
		}
	}
	return ""
}

// findDocument looks for the document with that external id. The filter's dates
// take in everything and are different each time, or the list might be one that
// was cached before the create.
func findDocument(ctx context.Context, c *enlace.Conn, op string, search url.Values, external string) (json.RawMessage, error) {
	query := url.Values{"sort_order": {"desc"}, "deleted": {"false"},
		"created_from": {anyDay(1980)}, "created_to": {anyDay(2100)}}
	for name, values := range search {
		query[name] = values
	}
	if !search.Has("folder_path") { // what a key was given to a day ago is not looked for any more
		query.Set("created_from", time.Now().UTC().Add(-48*time.Hour).Format(time.DateOnly))
	}
	for r, err := range listAll(ctx, c, op+": look up", "docs/", query) {
		if err != nil {
			return nil, err
		}
		if r.external != external {
			continue
		}
		body, err := readObject(ctx, c, op+": look up", "docs", r.token)
		if err != nil {
			return nil, err
		}
		if d, err := decode[Document](op, body); err != nil || (d.ParentToken == "" && d.ExternalID == external) {
			return body, err
		}
	}
	return nil, nil
}

// anyDay is a day in the decade after that year's beginning.
func anyDay(year int) string {
	return time.Date(year, 1, 1+rand.N(3650), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func decode[T any](op string, body json.RawMessage) (T, error) {
	var value T
	if err := json.Unmarshal(body, &value); err != nil {
		return value, protocol(op, "the answer is not of the expected form", nil)
	}
	return value, nil
}

func textOf(fields map[string]json.RawMessage, name string) string {
	var text string
	_ = json.Unmarshal(fields[name], &text)
	return text
}

func setText(fields map[string]json.RawMessage, name, text string) {
	raw, err := json.Marshal(text)
	if err == nil { // a string always can be written
		fields[name] = raw
	}
}

func firstEmail(fields map[string]json.RawMessage) string {
	var signers []struct{ Email string }
	_ = json.Unmarshal(fields["signers"], &signers)
	for _, s := range signers {
		if s.Email != "" {
			return s.Email
		}
	}
	return textOf(fields, "signer_email")
}
