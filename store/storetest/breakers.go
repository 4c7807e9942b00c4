package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enlace-go/enlace"
)

var breakerChecks = []check{
	{"OpenAndClose", breakersOpenAndClose},
	{"OneProbe", breakersOneProbe},
}

func breakersOpenAndClose(t *testing.T, s enlace.Store) {
	const rule = "OpenBreakers returns what is open"
	names := func() (list []string) {
		open, err := s.OpenBreakers(t.Context(), 100)
		noError(t, rule, err)
		for _, b := range open {
			list = append(list, b.Ref.Tenant+"/"+b.Ref.ID+"/"+b.Operation+" "+b.Rest.String())
		}
		slices.SortFunc(list, strings.Compare)
		return list
	}
	equal(t, rule, names(), []string(nil))
	open := func(tenant, id, operation string, rest time.Duration) enlace.BreakerName {
		name := enlace.BreakerName{Ref: ref(tenant, id), Operation: operation}
		noError(t, "SaveBreaker opens", s.SaveBreaker(t.Context(), enlace.OpenBreaker{BreakerName: name, Rest: rest, Left: time.Hour}))
		return name
	}
	one := open("acme", "one", "push", time.Second)
	open("acme", "one", "push", 2*time.Second)
	open("acme", "one", "pull", time.Second)
	open("acme", "two", "push", time.Second)
	open("other", "one", "push", time.Second)
	equal(t, rule, names(), []string{"acme/one/pull 1s", "acme/one/push 2s", "acme/two/push 1s", "other/one/push 1s"})
	some, err := s.OpenBreakers(t.Context(), 2)
	noError(t, rule, err)
	equal(t, "OpenBreakers keeps to the limit", len(some), 2)
	if left := some[0].Left; left > time.Hour || left < 50*time.Minute {
		t.Errorf("%s, and how long: %v", rule, left)
	}
	for range 2 {
		noError(t, "CloseBreaker closes", s.CloseBreaker(t.Context(), one))
	}
	equal(t, "CloseBreaker closes one", names(), []string{"acme/one/pull 1s", "acme/two/push 1s", "other/one/push 1s"})
	noError(t, "DeleteBreakers closes", s.DeleteBreakers(t.Context(), one.Ref))
	equal(t, "DeleteBreakers closes those of one integration", names(), []string{"acme/two/push 1s", "other/one/push 1s"})
}

func breakersOneProbe(t *testing.T, s enlace.Store) {
	const rule = "one probes when the rest is over"
	name := enlace.BreakerName{Ref: ref("acme", "one"), Operation: "push"}
	claim := func() bool {
		mine, err := s.ClaimProbe(t.Context(), name, time.Hour)
		noError(t, rule, err)
		return mine
	}
	equal(t, "nobody probes what is not open", claim(), false)
	noError(t, rule, s.SaveBreaker(t.Context(), enlace.OpenBreaker{BreakerName: name, Rest: time.Hour, Left: time.Hour}))
	equal(t, "nobody probes during the rest", claim(), false)
	noError(t, rule, s.SaveBreaker(t.Context(), enlace.OpenBreaker{BreakerName: name, Rest: time.Hour}))
	equal(t, rule, []bool{claim(), claim(), claim()}, []bool{true, false, false})
	open, err := s.OpenBreakers(t.Context(), 10)
	noError(t, rule, err)
	equal(t, "a probe leaves the length of the rest", open[0].Rest, time.Hour)
}
