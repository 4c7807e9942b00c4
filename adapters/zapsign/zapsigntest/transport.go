package zapsigntest

import (
	"net/http"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// Transport returns a transport that hands requests to the server without a network, whatever
// their host. Each request takes [Options].RoundTrip longer than the server needs, half of it
// before and half after. It spends time with timers only and starts no goroutine, so it works in
// a bubble of testing/synctest.
func (a *API) Transport() http.RoundTripper { return fakehttp.Transport(a, a.options.RoundTrip) }
