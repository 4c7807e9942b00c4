package bitrix24test

import (
	"net/http"

	"github.com/enlace-go/enlace/internal/fakehttp"
)

// Transport returns a transport that hands requests to the portal without a network, whatever
// their host: the host decides between portal and authorization server only. Each request takes
// [Options].RoundTrip longer than the portal needs, half of it before and half after. It spends
// time with timers only and starts no goroutine, so it works in a bubble of testing/synctest.
func (p *Portal) Transport() http.RoundTripper { return fakehttp.Transport(p, p.roundTrip) }
