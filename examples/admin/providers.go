package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/all"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// providers are the fake ones, each a server on a loopback port.
type providers struct {
	bitrix   *bitrix24test.Server
	zapsign  *zapsigntest.Server
	rd       *rdstationtest.Server
	registry *enlace.Registry
	apps     map[string]enlace.OAuthApp
	networks []netip.Prefix
}

// startProviders starts the fakes, which send users back to callback.
func startProviders(callback string) *providers {
	p := &providers{
		bitrix:   bitrix24test.NewServer(bitrix24test.Options{Redirect: callback, ServerTime: func(string) time.Duration { return 5 * time.Millisecond }}),
		zapsign:  zapsigntest.NewServer(zapsigntest.Options{}),
		rd:       rdstationtest.NewServer(rdstationtest.Options{}),
		registry: enlace.NewRegistry(all.Adapters()...),
		networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	p.bitrix.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 2000})
	p.bitrix.Seed(bitrix24test.Deal, bitrix24test.Seed{Count: 500})
	p.zapsign.Seed(zapsigntest.Seed{Count: 60})
	for i := range 40 {
		p.rd.PutContact(map[string]any{"name": fmt.Sprintf("Contato %d", i+1), "email": fmt.Sprintf("contato%d@example.com", i+1)})
	}
	marketing := p.rd.App(rdstationtest.Marketing)
	p.rd.SetRedirects(marketing.ClientID, callback)
	p.apps = map[string]enlace.OAuthApp{
		bitrix24.Name: {ClientID: p.bitrix.ClientID(), ClientSecret: enlace.NewSecret(p.bitrix.ClientSecret()),
			AuthURL: p.bitrix.AuthorizeURL(), TokenURL: p.bitrix.TokenURL()},
		rdstation.MarketingName: {ClientID: marketing.ClientID, ClientSecret: enlace.NewSecret(marketing.ClientSecret),
			AuthURL: p.rd.AuthorizeURL(rdstationtest.Marketing), TokenURL: p.rd.TokenURL(rdstationtest.Marketing)},
	}
	return p
}

func (p *providers) close() {
	p.bitrix.Close()
	p.zapsign.Close()
	p.rd.Close()
}

// connect creates an integration of each provider.
func (p *providers) connect(ctx context.Context, service *enlace.Service) error {
	for _, n := range []enlace.NewIntegration{
		{Provider: bitrix24.Name, Name: "CRM da matriz", Settings: map[string]string{"apiUrl": p.bitrix.RESTURL()}, Credential: &enlace.Credential{
			Scheme: bitrix24.SchemeWebhook, Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(p.bitrix.WebhookURL())}}},
		{Provider: zapsign.Name, Name: "Contratos", Settings: map[string]string{"apiUrl": slash(p.zapsign.BaseURL())}, Credential: &enlace.Credential{
			Scheme: zapsign.SchemeToken, Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(p.zapsign.Token())}}},
		{Provider: rdstation.MarketingName, Name: "Marketing", Settings: map[string]string{"apiUrl": slash(p.rd.APIURL())}},
	} {
		if _, err := service.Create(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func slash(address string) string { return strings.TrimSuffix(address, "/") + "/" }

// shelf is this program's own data: it keeps the ids of what it was given.
type shelf struct {
	mu      sync.Mutex
	records map[string]bool
}

// Accept implements enlace.Sink.
func (s *shelf) Accept(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes enlace.Changes
	for _, r := range b.Records {
		key := b.Integration.ID + "/" + r.Entity + "/" + r.ID
		switch {
		case r.Deleted && s.records[key]:
			delete(s.records, key)
			changes.Deleted++
		case r.Deleted:
			changes.Unchanged++
		case s.records[key]:
			changes.Updated++
		default:
			s.records[key] = true
			changes.Created++
		}
	}
	return changes, nil
}
