package zapsigntest

import (
	"slices"
	"strings"
	"time"
)

// planInfo is GET /info-plan/ (T32).
func (c *call) planInfo() answer {
	p := c.account.Plan
	if p == nil {
		return text(404, "Unable to find information about this plan")
	}
	return ok(struct {
		Name             string `json:"name"`
		NumberOfCredits  string `json:"number_of_credits"`
		Status           string `json:"status"`
		Period           string `json:"period"`
		CurrentPeriodEnd string `json:"current_period_end"`
	}{p.Name, p.Credits, p.Status, p.Period, p.CurrentPeriodEnd})
}

// listUsers is GET /users/.
func (c *call) listUsers() answer {
	type group struct {
		Name string `json:"name"`
	}
	type userJSON struct {
		FirstName     string `json:"first_name"`
		LastName      string `json:"last_name"`
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
		UserGroup     group  `json:"user_group"`
	}
	return c.paginate(len(c.account.Users), usersPerPage, func(i int) any {
		u := c.account.Users[i]
		return userJSON{u.FirstName, u.LastName, u.Email, true, group{u.Role}}
	})
}

// createUser is POST /users/create-user.
func (c *call) createUser() answer {
	u := User{
		Email: c.in.text("email"), Role: orDefault(c.in.text("role"), "self_docs_limited"), FirstName: c.in.text("first_name"),
		LastName: c.in.text("last_name"), Token: newUUID(),
	}
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	switch {
	case !strings.Contains(u.Email, "@"):
		return *refused("email é obrigatório.")
	case !slices.Contains([]string{"member", "admin", "self_docs_limited"}, u.Role):
		return *refused("role inválido.")
	case slices.ContainsFunc(c.account.Users, func(known User) bool { return known.Email == u.Email }):
		return *refused("Usuário já existe.")
	}
	c.account.Users = append(c.account.Users, u)
	return message(200, "Usuário criado com sucesso.")
}

// deleteUser is DELETE /users/{email}/.
func (c *call) deleteUser() answer {
	i := slices.IndexFunc(c.account.Users, func(u User) bool { return strings.EqualFold(u.Email, c.params[0]) })
	switch {
	case i < 0:
		return notFound()
	case c.account.Users[i].Role == "owner":
		return *refused("O proprietário não pode ser excluído.")
	}
	c.account.Users = slices.Delete(slices.Clone(c.account.Users), i, i+1)
	return message(200, "Usuário excluído da organização com sucesso.")
}

var countries = []string{"br", "mx", "co", "pe", "cl"}

// createCompany is POST /partner/company/: an account of the same environment.
func (c *call) createCompany() answer {
	if !c.account.Partner {
		return detail(403, "Plan necesario para crear empresa parceira.")
	}
	missing := map[string][]string{}
	for _, name := range []string{"country", "lang", "company_name"} {
		if c.in.text(name) == "" {
			missing[name] = []string{"Este campo é obrigatório."}
		}
	}
	country, lang, name, email := c.in.text("country"), c.in.text("lang"), c.in.text("company_name"), c.in.text("email")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	if country != "" && !slices.Contains(countries, country) {
		missing["country"] = []string{"Escolha inválida."}
	}
	if len(missing) > 0 {
		return jsonAnswer(400, struct {
			Message string              `json:"message"`
			Data    map[string][]string `json:"data"`
		}{"Invalid Input", missing})
	}
	acc := c.addAccount(Account{Owner: email, Production: c.account.Production}, 735+len(c.accounts))
	return ok(struct {
		ID             int    `json:"id"`
		Name           string `json:"name"`
		APIToken       string `json:"api_token"`
		CreatedAt      stamp  `json:"created_at"`
		CreditsBalance int    `json:"credits_balance"`
		Lang           string `json:"lang"`
		Timezone       string `json:"timezone"`
	}{acc.OrganizationID, name, acc.Token, stamp(c.tick()), 0, lang, "America/Sao_Paulo"})
}

// updatePaymentStatus is POST /partner/update-payment-status/.
func (c *call) updatePaymentStatus() answer {
	token, status := c.in.text("client_api_token"), c.in.text("payment_status")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	client := c.tokens[token]
	switch {
	case !c.account.Partner:
		return text(403, "Ação não permitida.")
	case client == nil:
		return text(404, "Cliente não encontrado.")
	case status != "adimplente" && status != "inadimplente":
		return text(400, "Status inválido.")
	}
	client.NoPlan = status == "inadimplente"
	return text(200, "Status atualizado com sucesso.")
}

// partnersCSV is GET /info-plan/partners-csv/.
func (c *call) partnersCSV() answer {
	from, fromOK := day(c.query.Get("start_date"))
	to, toOK := day(c.query.Get("end_date"))
	if !fromOK || !toOK || to.Sub(from) > 30*24*time.Hour {
		return jsonAnswer(400, map[string][]string{"non_field_errors": {"Date range cannot exceed 30 days"}})
	}
	return answer{status: 200, contentType: "text/csv", body: []byte("company,credits\n")}
}
