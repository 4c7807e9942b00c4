// Admin serves the dashboard on loopback, with fake providers behind it.
//
//	go run ./examples/admin
//
// Open the printed address. ZapSign and Bitrix24 are connected; RD Station waits
// for you to authorize it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/mapping/live"
	"github.com/enlace-go/enlace/store/memory"
)

func main() {
	log.SetFlags(0)
	address := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	every := flag.Duration("every", 20*time.Second, "how often the connected accounts are synchronised; 0 is never")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *address, *every); err != nil && !errors.Is(err, context.Canceled) {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, every time.Duration) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mount := "http://" + listener.Addr().String() + "/integrations/"
	fakes := startProviders(mount + "oauth/callback")
	defer fakes.close()
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		return err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return err
	}
	logs := enlace.NewLogBuffer(2000, slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	logger := slog.New(logs)
	service, err := enlace.New(enlace.Config{
		Registry: fakes.registry,
		Store:    memory.New(),
		Keys:     keys,
		OAuth:    fakes.apps,
		Egress:   enlace.Egress{AllowPrefixes: fakes.networks},
		Sink:     &shelf{records: map[string]bool{}},
		Mappings: live.Engine{},
		Webhooks: enlace.WebhookConfig{PublicURL: mount},
		Logger:   logger,
	})
	if err != nil {
		return err
	}
	if err := fakes.connect(ctx, service); err != nil {
		return err
	}

	handler := admin.Handler(service, admin.Options{
		Development: true, // no login: loopback only. A real host sets Authorize
		Environment: "demo",
		Logs:        logs,
		Logger:      logger,
	})
	mux := http.NewServeMux()
	mux.Handle("/integrations/", handler)
	mux.Handle("POST /integrations/{id}/webhook", service.WebhookHandler()) // what the providers reach
	mux.Handle("/{$}", http.RedirectHandler("/integrations/", http.StatusSeeOther))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(handler.Close)

	background := make(chan error, 2)
	go func() { background <- service.Run(ctx) }()
	go func() { background <- keepSyncing(ctx, service, every) }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Println("the dashboard is at", mount)

	select {
	case err = <-served:
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(closing), <-background, <-background)
}

// keepSyncing pulls every connected account now and then.
func keepSyncing(ctx context.Context, service *enlace.Service, every time.Duration) error {
	for every > 0 {
		list, _, err := service.List(ctx, enlace.IntegrationQuery{})
		if err != nil {
			return err
		}
		for _, in := range list {
			if in.Enabled && in.Status == enlace.StatusConnected {
				_, _ = service.Sync(ctx, in.Ref, enlace.SyncOptions{}) // the run's record says how it went
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
	<-ctx.Done()
	return nil
}
