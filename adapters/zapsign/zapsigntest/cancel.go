package zapsigntest

import (
	"slices"
	"strings"
	"time"
)

// afterRefusal is how long the refused file takes to be built (F46).
const afterRefusal = 40 * time.Second

// cancelDocument is POST /refuse/ (F22, T14, T15).
func (c *call) cancelDocument() answer {
	token, reason, notify := c.in.text("doc_token"), c.in.text("rejected_reason"), c.in.flag("notify_signer")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	if c.request.UserAgent() == "" {
		status := 400
		if c.options.Quirks.UserAgent403 {
			status = 403
		}
		return coded(status, "missing_user_agent", "O cabeçalho User-Agent é obrigatório.")
	}
	switch {
	case token == "":
		return coded(400, "missing_doc_token", "O doc_token é obrigatório.")
	case reason == "":
		return coded(400, "missing_rejected_reason", "O rejected_reason é obrigatório.")
	}
	d, no := c.lookup(token)
	if no != nil {
		return coded(no.status, "document_not_found", "Documento não encontrado.")
	}
	switch {
	case d.status == recusado:
		return coded(403, "document_already_refused", "Não se pode cancelar um documento que já foi cancelado/recusado")
	case d.status == signed:
		return coded(403, "document_already_signed", "Não se pode cancelar um documento que já foi assinado")
	case d.parent != nil || !d.isPending():
		return coded(403, "refuse_not_allowed", "O cancelamento deste documento não é permitido.")
	}
	d.status, d.rejectedReason = recusado, &reason
	c.seal(d, "canceled: "+reason)
	c.touch(d, "Documento cancelado")
	if notify {
		for _, s := range d.signers {
			if s.email != "" {
				c.post(d, s, canceled, "email", s.email, reason)
			}
		}
	}
	c.emitDocument(d, "doc_signed")
	return message(200, "Documento cancelado com sucesso!")
}

// refuseByUser is POST /refuse/by-user/ (sheet 2.1.13).
func (c *call) refuseByUser() answer {
	docToken, userToken, signerToken, reason := c.in.text("doc_token"), c.in.text("user_token"), c.in.text("signer_token"), c.in.text("rejected_reason")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	d, no := c.lookup(docToken)
	if no != nil {
		return *no
	}
	user, s := c.account.user(userToken), c.API.signers[signerToken]
	if user == nil || s == nil || s.document != d {
		return notFound()
	}
	switch {
	case !d.allowRefuse || !d.isPending() || !s.isOpen():
		return errorBody(403, "A reprovação deste documento não é permitida.")
	case !strings.EqualFold(user.Email, s.email):
		return errorBody(400, "O e-mail do signatário e do usuário são diferentes")
	}
	c.refuse(s, reason)
	return message(200, "Documento recusado com sucesso. O arquivo final será gerado em instantes.")
}

// refuse lets a signer refuse: the file follows, and with it doc_signed (F46, T23).
func (a *API) refuse(s *signer, reason string) {
	d := s.document
	s.status, s.signedAt = rejeitou, a.tick()
	d.status, d.rejectedReason, d.refusedBySigner = recusado, &reason, true
	a.seal(d, "refused: "+reason)
	d.updatedAt = a.tick()
	a.log(d, s.name, "Documento recusado", reason)
	a.emitDocument(d, "doc_refused")
	a.plan(a.now().Add(afterRefusal), func() { a.emitDocument(d, "doc_signed") })
}

func (acc *account) user(token string) *User {
	i := slices.IndexFunc(acc.Users, func(u User) bool { return token != "" && u.Token == token })
	if i < 0 {
		return nil
	}
	return &acc.Users[i]
}

// batchSign is POST /sign/ (F38).
func (c *call) batchSign() answer {
	userToken, tokens := c.in.text("user_token"), c.in.texts("signer_tokens")
	for _, ignored := range []string{"selfie_photo", "document_photo_url", "document_verse_photo_url", "cpf"} {
		c.in.text(ignored)
	}
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	user := c.account.user(userToken)
	if user == nil || len(tokens) == 0 {
		return notFound()
	}
	var all []*signer
	for _, token := range tokens {
		s := c.API.signers[token]
		if s == nil || s.document.account != c.account {
			return notFound()
		}
		if s.authMode != "assinaturaTela" || s.email != "" && !strings.EqualFold(s.email, user.Email) {
			return *refused("Este signatário não pode ser assinado em lote.")
		}
		all = append(all, s)
	}
	c.plan(c.now().Add(time.Second), func() {
		for _, s := range all {
			if c.canSign(s) == nil {
				c.sign(s)
			}
		}
	})
	return message(200, "Documento(s) assinado(s) com sucesso. As assinaturas serão processadas em instantes.")
}
