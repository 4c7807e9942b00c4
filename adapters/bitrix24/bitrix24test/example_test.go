package bitrix24test_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
)

func ExampleNewServer() {
	server := bitrix24test.NewServer(bitrix24test.Options{})
	defer server.Close()
	server.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1_000_000})
	server.Put(bitrix24test.Contact, map[string]any{"id": 999_999, "name": "Inês", "lastName": "Araújo"})

	response, err := http.PostForm(server.WebhookURL()+"crm.item.list", url.Values{
		"entityTypeId": {"3"}, "filter[>id]": {"999998"}, "order[id]": {"ASC"}, "select[]": {"id"}, "start": {"0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var page struct {
		Result struct {
			Items []struct{ ID int64 }
		}
		Total int
	}
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(page.Total, page.Result.Items)
	// Output: 2 [{999999} {1000000}]
}

// A portal in memory needs no network, and its faults come on demand.
func ExamplePortal_Fault() {
	portal := bitrix24test.New(bitrix24test.Options{})
	client := &http.Client{Transport: portal.Transport()}
	portal.Fault(bitrix24test.Fault{Method: "server.time", Kind: bitrix24test.RateLimited, After: 1})

	for range 3 {
		response, err := client.Post(portal.WebhookURL()+"server.time", "application/json", strings.NewReader("{}"))
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
	// Output:
	// 200
	// 503
	// 200
}

// Authorize gives an application its first tokens without a browser.
func ExamplePortal_Authorize() {
	portal := bitrix24test.New(bitrix24test.Options{BaseURL: "https://padaria.bitrix24.com.br"})
	client := &http.Client{Transport: portal.Transport()}
	tokens := portal.Authorize()
	portal.ExpireTokens()

	response, err := client.PostForm(tokens.ClientEndpoint+"profile", url.Values{"auth": {tokens.AccessToken}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var refusal struct{ Error string }
	json.NewDecoder(response.Body).Decode(&refusal)
	fmt.Println(tokens.ClientEndpoint, response.StatusCode, refusal.Error)
	// Output: https://padaria.bitrix24.com.br/rest/ 401 expired_token
}
