package transport_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/enlace-go/enlace/internal/transport"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		values []string
		want   time.Duration
		ok     bool
	}{
		{[]string{"0"}, 0, true},
		{[]string{"120"}, 2 * time.Minute, true},
		{[]string{"007"}, 7 * time.Second, true},
		{[]string{"3600"}, time.Hour, true},
		{[]string{"86401"}, day, true},
		{[]string{"9223372037"}, day, true},
		{[]string{"18446744074"}, day, true},
		{[]string{"99999999999"}, day, true},
		{[]string{"99999999999999999999999999"}, day, true},
		{[]string{"Mon, 01 Jun 2026 12:00:30 GMT"}, 30 * time.Second, true},
		{[]string{"Monday, 01-Jun-26 12:00:30 GMT"}, 30 * time.Second, true},
		{[]string{"Mon Jun  1 12:00:30 2026"}, 30 * time.Second, true},
		{[]string{"Mon, 01 Jun 2026 11:00:00 GMT"}, 0, true},
		{[]string{"Fri, 31 Dec 9999 23:59:59 GMT"}, day, true},
		{[]string{"-1"}, 0, false},
		{[]string{"+1"}, 0, false},
		{[]string{"1.5"}, 0, false},
		{[]string{"1 "}, 0, false},
		{[]string{"junk"}, 0, false},
		{[]string{""}, 0, false},
		{[]string{"1", "2"}, 0, false},
		{nil, 0, false},
	} {
		got, ok := transport.ParseRetryAfter(http.Header{"Retry-After": c.values}, noon)
		if got != c.want || ok != c.ok {
			t.Errorf("%q: %v, %v; want %v, %v", c.values, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"0", "120", "-1", "1.5", "9223372037", "Mon, 01 Jun 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", ""} {
		f.Add(seed, int64(0))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		got, ok := transport.ParseRetryAfter(http.Header{"Retry-After": {value}}, time.Unix(now, 0))
		if got < 0 || got > 24*time.Hour || (!ok && got != 0) {
			t.Errorf("%q: %v, %v", value, got, ok)
		}
	})
}
