package bitrix24test

import "github.com/enlace-go/enlace/internal/fakehttp"

// Server is a portal that listens on the loopback interface, with its authorization server on a
// second port.
type Server struct {
	*Portal
	URL      string // of the portal, without a slash at the end
	OAuthURL string // of the authorization server, likewise

	http *fakehttp.Server
}

// NewServer starts a server, which the caller ends with [Server.Close]. Its addresses are plain
// HTTP and replace those in options. It panics if it cannot listen on 127.0.0.1.
func NewServer(options Options) *Server {
	s := &Server{}
	portal, oauth := fakehttp.Listen(), fakehttp.Listen()
	s.URL, s.OAuthURL = fakehttp.Address(portal), fakehttp.Address(oauth)
	options.BaseURL, options.OAuthURL = s.URL, s.OAuthURL
	s.Portal = New(options)
	s.http = fakehttp.Serve(s.Portal, portal, oauth)
	return s
}

// Close breaks all connections and returns when nothing of the server runs any more.
func (s *Server) Close() {
	s.http.Close()
	s.Portal.Close()
}

// Rename moves the portal to a new port: requests to the old address are redirected, as
// [Portal.Move] tells. It returns the new address and sets URL to it.
func (s *Server) Rename() string {
	listener := fakehttp.Listen()
	s.URL = fakehttp.Address(listener)
	s.Move(s.URL)
	s.http.Add(listener)
	return s.URL
}
