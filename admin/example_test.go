package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/admin"
	"github.com/enlace-go/enlace/store/memory"
)

// exampleService is a service with one integration of the bundled fake provider.
func exampleService() *enlace.Service {
	provider := fake.New(fake.Options{})
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(provider.Adapter()), Store: memory.New(), Keys: keys, Transport: provider})
	if err != nil {
		panic(err)
	}
	credential := provider.APIKey()
	if _, err := service.Create(context.Background(), enlace.NewIntegration{Provider: fake.Name, Name: "Vendas", Credential: &credential}); err != nil {
		panic(err)
	}
	return service
}

// The pages and the API behind the host's own login, and shown in a frame of its own pages.
func ExampleHandler() {
	handler := admin.Handler(exampleService(), admin.Options{
		Authorize: func(r *http.Request) (admin.Access, error) {
			if r.Header.Get("X-User") == "" { // in a host: its session
				return admin.Access{}, admin.ErrSignedOut
			}
			return admin.Access{User: r.Header.Get("X-User"), Grants: admin.Operator}, nil
		},
		FrameAncestors: []string{"https://app.example.com"},
	})
	defer handler.Close()
	mux := http.NewServeMux()
	mux.Handle("/integrations/", handler)

	for _, user := range []string{"", "ana"} {
		r := httptest.NewRequest("GET", "/integrations/i", nil)
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Printf("%q: %d\n", user, w.Code)
	}
	// Output:
	// "": 401
	// "ana": 200
}

// The API alone, for a host that has pages of its own.
func ExampleAPI() {
	api := admin.API(exampleService(), admin.Options{Authorize: func(*http.Request) (admin.Access, error) {
		return admin.Access{User: "ana", Grants: admin.ReadOnly}, nil
	}})
	defer api.Close()
	mux := http.NewServeMux()
	mux.Handle("/integrations/", api)

	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	var list struct {
		Items []struct{ Name, State string }
	}
	if err := json.Unmarshal(ask("GET", "/integrations/").Body.Bytes(), &list); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(list.Items)
	fmt.Println(ask("GET", "/integrations/health?probe=ready").Body)
	fmt.Println(ask("POST", "/integrations/test").Code)
	// Output:
	// [{Vendas connected}]
	// {"status":"pass"}
	//
	// 403
}
