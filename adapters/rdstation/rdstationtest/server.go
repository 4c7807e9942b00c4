package rdstationtest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is an account that listens on the loopback interface, all its hosts on one port.
type Server struct {
	*Account
	URL string // of the API, the authorization servers and the CRM v1, without a slash at the end

	http      *http.Server
	listening sync.WaitGroup // the accept loop
	running   sync.WaitGroup // the connections
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its address is plain HTTP
// and replaces those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("rdstationtest: cannot listen on the loopback interface: %v", err))
	}
	s := &Server{URL: "http://" + listener.Addr().String()}
	options.APIBase, options.AccountsBase, options.CRMv1Base = s.URL, s.URL, s.URL
	s.Account = New(options)
	s.http = &http.Server{Handler: s.Account, ReadHeaderTimeout: 10 * time.Second, ConnState: s.track}
	s.listening.Go(func() { s.http.Serve(listener) })
	return s
}

// track counts the connections; the accept loop reports new ones, so none comes when it is over.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.running.Done()
	}
}

// Close breaks all connections, gives up what webhooks are still due, and returns when nothing of
// the server runs any more.
func (s *Server) Close() {
	s.http.Close()
	s.listening.Wait()
	s.running.Wait()
	s.Account.Close()
}
