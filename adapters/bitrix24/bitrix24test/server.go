package bitrix24test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a portal that listens on the loopback interface, with its authorization server on a
// second port.
type Server struct {
	*Portal
	URL      string // of the portal, without a slash at the end
	OAuthURL string // of the authorization server, likewise

	http      *http.Server
	listening sync.WaitGroup // the accept loops
	running   sync.WaitGroup // the connections
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its addresses are plain
// HTTP and replace those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	s := &Server{}
	portal, oauth := listen(), listen()
	s.URL, s.OAuthURL = "http://"+portal.Addr().String(), "http://"+oauth.Addr().String()
	options.BaseURL, options.OAuthURL = s.URL, s.OAuthURL
	s.Portal = New(options)
	s.http = &http.Server{Handler: s.Portal, ReadHeaderTimeout: 10 * time.Second, ConnState: s.track}
	s.start(portal)
	s.start(oauth)
	return s
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("bitrix24test: cannot listen on the loopback interface: %v", err))
	}
	return listener
}

func (s *Server) start(listener net.Listener) {
	s.listening.Go(func() { s.http.Serve(listener) })
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

// Close breaks all connections and returns when nothing of the server runs any more.
func (s *Server) Close() {
	s.http.Close()
	s.listening.Wait()
	s.running.Wait()
	s.Portal.Close()
}

// Rename moves the portal to a new port: requests to the old address are redirected, as
// [Portal.Move] tells. It returns the new address and sets URL to it.
func (s *Server) Rename() string {
	listener := listen()
	s.URL = "http://" + listener.Addr().String()
	s.Move(s.URL)
	s.start(listener)
	return s.URL
}
