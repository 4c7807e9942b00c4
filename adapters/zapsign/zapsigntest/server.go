package zapsigntest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is an API that listens on the loopback interface: sandbox, production and file links
// have a port each.
type Server struct {
	*API
	URL string // of the API of the first account's environment, without path or slash at the end

	http      *http.Server
	listening sync.WaitGroup // the accept loops
	running   sync.WaitGroup // the connections
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its addresses are plain
// HTTP and replace those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	s := &Server{}
	sandbox, production, files := listen(), listen(), listen()
	address := func(l net.Listener) string { return "http://" + l.Addr().String() }
	options.Addresses = Addresses{
		Sandbox: address(sandbox), SandboxApp: address(sandbox),
		Production: address(production), BrazilProduction: address(production), ProductionApp: address(production),
		Files: address(files),
	}
	s.API = New(options)
	s.URL = address(sandbox)
	if s.accounts[0].Production {
		s.URL = address(production)
	}
	s.http = &http.Server{Handler: s.API, ReadHeaderTimeout: 10 * time.Second, ConnState: s.track}
	for _, listener := range []net.Listener{sandbox, production, files} {
		s.listening.Go(func() { s.http.Serve(listener) })
	}
	return s
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("zapsigntest: cannot listen on the loopback interface: %v", err))
	}
	return listener
}

// track counts the connections; the accept loops report new ones, so none comes when they are over.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.running.Done()
	}
}

// Close ends the deliveries as [API.Close] does, breaks all connections and returns when nothing
// of the server runs any more.
func (s *Server) Close() {
	s.API.Close()
	s.http.Close()
	s.listening.Wait()
	s.running.Wait()
}
