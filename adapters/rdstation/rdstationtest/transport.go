package rdstationtest

import (
	"net/http"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// Transport returns a transport that hands requests to the account without a network, whatever
// their host. Each request takes [Options].RoundTrip longer than the account needs, half of it
// before and half after. It spends time with timers only and starts no goroutine, so it works in
// a bubble of testing/synctest.
func (a *Account) Transport() http.RoundTripper { return fakehttp.Transport(a, a.options.RoundTrip) }

// HandlerTransport returns a transport that hands requests to a handler without a network,
// whatever their host: for [Options].WebhookTransport. The handler runs in the goroutine of the
// request. What it does after the request's context ended is waited for, then thrown away.
func HandlerTransport(handler http.Handler) http.RoundTripper { return fakehttp.Transport(handler, 0) }
