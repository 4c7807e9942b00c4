// Package admin is the whole administration of a host's integrations as one
// [http.Handler]: dashboard, test console and REST API, behind the host's own login.
//
//	mux.Handle("/integrations/", admin.Handler(service, admin.Options{
//		Authorize: func(r *http.Request) (admin.Access, error) {
//			user, ok := sessions.User(r)
//			if !ok {
//				return admin.Access{}, admin.ErrSignedOut
//			}
//			return admin.Access{User: user.ID, Name: user.Name, Tenant: user.Company, Grants: admin.Operator}, nil
//		},
//	}))
//
// It finds out for each request where it is mounted, and puts only relative
// addresses into what it answers: under any prefix, behind [http.StripPrefix] or
// not, behind a proxy that takes a prefix away or adds one.
//
// Everything that it does is a call of a [enlace.Service] method: the dashboard can
// do nothing that the Go API cannot. Without an authorizer it is closed.
package admin
