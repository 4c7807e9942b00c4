package rdstation

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/rawjson"
)

// shape says where records stand in an answer and what in them matters.
type shape struct {
	lists    []string // names of the member that holds the array, in order of preference; none if the answer is the array
	id       []string // names of the members that make up the id; "a|b" is one with two spellings
	modified []string // names of the member that holds the time of change, in any of its spellings
}

// list is what an answer held.
type list struct {
	records []enlace.Record
	total   int    // 0 unless the answer says it
	next    string // address of the next page, as it stands there
	hasMore bool
}

// errNoRecords is an answer that holds no list. It must not pass for an empty one.
var errNoRecords = errors.New("the answer holds no list")

// parseList cuts an answer into records.
func parseList(body []byte, entity string, sh shape) (list, error) {
	var l list
	s := rawjson.NewScanner(body)
	found := false
	switch {
	case s.Kind() == rawjson.KindArray && len(sh.lists) == 0:
		found = true
		l.records = scanRecords(s, entity, sh)
	case s.Kind() == rawjson.KindObject:
		found = l.scanEnvelope(s, entity, sh)
	}
	if err := s.End(); err != nil {
		return list{}, malformed("list "+entity, err)
	}
	if !found {
		return list{}, malformed("list "+entity, errNoRecords)
	}
	return l, nil
}

func (l *list) scanEnvelope(s *rawjson.Scanner, entity string, sh shape) (found bool) {
	for name := range s.Object() {
		switch key := string(name); {
		case key == "total":
			total, _ := rawjson.Int(s.Value())
			l.total = int(max(total, 0))
		case key == "has_more":
			l.hasMore = string(s.Value()) == "true"
		case key == "links" && s.Kind() == rawjson.KindObject:
			for link := range s.Object() {
				if string(link) == "next" {
					l.next, _ = rawjson.String(s.Value())
				}
			}
		case !found && slices.Contains(sh.lists, key) && s.Kind() == rawjson.KindArray:
			found = true
			l.records = scanRecords(s, entity, sh)
		}
	}
	return found
}

func scanRecords(s *rawjson.Scanner, entity string, sh shape) []enlace.Record {
	records := []enlace.Record{}
	for range s.Array() {
		records = append(records, scanRecord(s, entity, sh))
	}
	return records
}

// scanRecord takes one record as it is and looks at its id and time of change only.
func scanRecord(s *rawjson.Scanner, entity string, sh shape) enlace.Record {
	r := enlace.Record{Entity: entity}
	start := s.Offset()
	if s.Kind() != rawjson.KindObject {
		s.Value()
		r.Data = s.Since(start)
		return r
	}
	parts := make([]string, len(sh.id))
	for name := range s.Object() {
		key := string(name)
		for i, part := range sh.id {
			if part == key || (strings.Contains(part, "|") && slices.Contains(strings.Split(part, "|"), key)) {
				if id, ok := rawjson.ID(s.Value()); ok {
					parts[i] = id
				}
			}
		}
		if slices.Contains(sh.modified, key) {
			r.Modified = scanTime(s)
		}
	}
	r.Data = s.Since(start)
	r.ID = strings.Join(parts, "/")
	if slices.Contains(parts, "") {
		r.ID = "" // enlace refuses it
	}
	return r
}

// scanTime reads a time in any of the provider's forms; zero if it is none.
func scanTime(s *rawjson.Scanner) time.Time {
	text, _ := rawjson.String(s.Value())
	return parseTime(text)
}

// parseTime reads a time with any offset, or a day.
func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// oneRecord is an answer that is a single record, or holds it in a member. It must
// be the one that was asked for: its id stands in one of the members ids.
func oneRecord(body []byte, entity, id, member string, ids ...string) (enlace.Record, error) {
	data := rawjson.NewScanner(body).Value()
	if member != "" {
		data, _ = rawjson.Get(body, member) // valid, or Classify would have refused it
	}
	members := exactMembers(data)
	for _, name := range ids {
		if found, ok := rawjson.ID(members[name]); ok && (found == id || strings.HasSuffix(id, "/"+found)) {
			text, _ := rawjson.String(members["updated_at"])
			return enlace.Record{Entity: entity, ID: id, Modified: parseTime(text), Data: data}, nil
		}
	}
	return enlace.Record{}, malformed("get "+entity, errNotIt)
}

// errNotIt is an answer that is not the record that was asked for.
var errNotIt = errors.New("the answer is not the record")
