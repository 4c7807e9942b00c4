package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/admin"
)

// serveDashboard serves the admin on a free loopback port until ctx ends. It runs
// what the service does in the background too, so that health is checked.
func serveDashboard(ctx context.Context, service *enlace.Service, work func(context.Context) error) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler := admin.Handler(service, admin.Options{Development: true, Environment: "quickstart"})
	mux := http.NewServeMux()
	mux.Handle("/integrations/", handler)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(handler.Close)
	ended := make(chan error, 3)
	go func() { ended <- server.Serve(listener) }()
	go func() { ended <- service.Run(ctx) }()
	go func() { ended <- work(ctx) }()
	fmt.Printf("the dashboard is at http://%s/integrations/\n", listener.Addr())

	err = <-ended
	cancel()
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	err = errors.Join(err, server.Shutdown(closing), <-ended, <-ended)
	if ctx.Err() != nil {
		return nil // interrupted, which is how this ends
	}
	return err
}
