package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

const (
	pageSize    = 20
	pageLatency = 25 * time.Millisecond // of the fake provider
)

// accounts are the customers' accounts at the fake provider, all behind one address.
type accounts struct {
	url  string
	mu   sync.Mutex
	list []*account
}

// account is one of them, and the integration with it.
type account struct {
	provider *fake.Provider
	ref      enlace.Ref
	pages    int // that a complete pull reads

	mu    sync.Mutex
	reads []pageRead
}

// pageRead is a page that the host has asked for.
type pageRead struct {
	cursor string
	at     time.Time
}

// listenAccounts serves the accounts until ctx ends.
func listenAccounts(ctx context.Context) (*accounts, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &accounts{url: "http://" + listener.Addr().String()}
	server := &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends by the next line's doing
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return a, nil
}

// ServeHTTP finds the account by the number that its path begins with.
func (a *accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(number)
	a.mu.Lock()
	var found *account
	if err == nil && n >= 0 && n < len(a.list) {
		found = a.list[n]
	}
	a.mu.Unlock()
	if found == nil {
		http.NotFound(w, r)
		return
	}
	http.StripPrefix("/"+number, found).ServeHTTP(w, r)
}

// ServeHTTP notes the pages of contacts that are read.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if query := r.URL.Query(); r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/contacts") && !query.Has("id") {
		a.mu.Lock()
		a.reads = append(a.reads, pageRead{query.Get("cursor"), time.Now()})
		a.mu.Unlock()
	}
	a.provider.ServeHTTP(w, r)
}

// open makes an account with so many pages of contacts, and the integration with it.
func (a *accounts) open(ctx context.Context, service *enlace.Service, pages int) (*account, error) {
	provider := fake.New(fake.Options{PageSize: pageSize, Latency: pageLatency})
	provider.Seed("contacts", pages*pageSize)
	made := &account{provider: provider, pages: pages}
	a.mu.Lock()
	a.list = append(a.list, made)
	number := len(a.list) - 1
	a.mu.Unlock()
	err := persist(ctx, func() error {
		in, err := service.Create(ctx, enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Name: fmt.Sprint("Account ", number),
			Settings: map[string]string{"apiUrl": fmt.Sprintf("%s/%d/v1/", a.url, number)}, Credential: new(provider.APIKey())})
		made.ref = in.Ref
		return err
	})
	return made, err
}

// outage is a kill, until everybody has noticed: a page whose commit falls into it is
// read again.
type outage struct{ from, to time.Time }

// readAgain looks at the order in which a complete pull has read its pages: the next one,
// or after a kill the last one once more. It returns how many were read again, and what
// is not of that order.
func (a *account) readAgain(outages []outage) (again int, faults []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := map[string]int{} // cursor → number of its page
	var last pageRead
	for _, read := range a.reads {
		number, before := seen[read.cursor]
		switch {
		case !before:
			seen[read.cursor] = len(seen) + 1
		case number > a.pages: // there is nothing behind the last page
		case read.cursor != last.cursor:
			faults = append(faults, fmt.Sprintf("page %d of account %s is read again after a later one", number, a.ref.ID))
		case !between(outages, last.at, read.at):
			faults = append(faults, fmt.Sprintf("page %d of account %s is read again although nothing was killed", number, a.ref.ID))
		default:
			again++
		}
		last = read
	}
	return again, faults
}

// between says whether a kill can have been the reason to read again at to what was read at from.
func between(outages []outage, from, to time.Time) bool {
	for _, o := range outages {
		if o.from.Before(to) && o.to.After(from) {
			return true
		}
	}
	return false
}

// persist repeats fn until it succeeds or ctx ends.
func persist(ctx context.Context, fn func() error) error {
	for {
		err := fn()
		if err == nil || pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
