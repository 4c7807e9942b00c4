package rdstationtest

import "strings"

// routeTable is everything that the account answers. Literal segments come before variables.
func routeTable() []*route {
	return append(append(openRoutes(), marketingRoutes()...), append(crmV2Routes(), crmV1Routes()...)...)
}

func openRoutes() []*route {
	return []*route{
		{name: "GET /auth/dialog", handle: serveDialog},
		{name: "POST /auth/token", handle: serveClassicToken},
		{name: "POST /auth/revoke", handle: serveRevoke},
		{name: "GET /oauth/authorize", handle: serveAuthorize},
		{name: "POST /oauth2/token", handle: serveUnifiedToken},
	}
}

func marketingRoutes() []*route {
	routes := append(contactRoutes(), assetRoutes()...)
	add := func(class, name string, handle func(*Account, *request) reply) *route {
		r := &route{name: name, handle: handle, classes: []string{class}}
		routes = append(routes, r)
		return r
	}
	add("", "GET /marketing/account_info", serveAccountInfo).classes = nil
	add(LimitSegmentations, "GET /platform/segmentations", serveSegmentations)
	add(LimitSegmentations, "GET /platform/segmentations/{id}/contacts", serveSegmentContacts)
	add(LimitEvents, "POST /platform/events", serveEvents)
	add(LimitEvents, "POST /platform/events/batch", serveBatch)
	add(LimitEvents, "POST /platform/conversions", serveConversions).surface = conversionKey
	add(LimitWebhooks, "GET /integrations/webhooks", serveHooks)
	add(LimitWebhooks, "POST /integrations/webhooks", serveCreateHook).unlocked = true
	add(LimitWebhooks, "GET /integrations/webhooks/{uuid}", serveHook)
	add(LimitWebhooks, "PUT /integrations/webhooks/{uuid}", servePutHook)
	add(LimitWebhooks, "DELETE /integrations/webhooks/{uuid}", serveDeleteHook)
	for _, r := range routes {
		if r.surface == openSurface {
			r.surface = marketingSurface
		}
	}
	return routes
}

func contactRoutes() []*route {
	contacts, fields := []string{LimitContacts}, []string{LimitFields}
	return []*route{
		{name: "GET /platform/contacts", handle: serveContactList, classes: contacts},
		{name: "POST /platform/contacts", handle: serveCreateContact, classes: contacts},
		{name: "GET /platform/contacts/fields", handle: serveFields, classes: fields},
		{name: "POST /platform/contacts/fields", handle: serveCreateField, classes: fields},
		{name: "PATCH /platform/contacts/fields/{uuid}", handle: servePatchField, classes: fields},
		{name: "DELETE /platform/contacts/fields/{uuid}", handle: serveDeleteField, classes: fields},
		{name: "GET /platform/contacts/{lead}", handle: serveContact, classes: contacts},
		{name: "PATCH /platform/contacts/{lead}", handle: servePatchContact, classes: contacts, lead: LimitPatchLead},
		{name: "DELETE /platform/contacts/{lead}", handle: serveDeleteContact, classes: contacts},
		{name: "POST /platform/contacts/{lead}/tag", handle: serveTag, classes: []string{LimitTag}, lead: LimitTagLead},
		{name: "GET /platform/contacts/{lead}/events", handle: serveContactEvents, classes: contacts},
		{name: "GET /platform/contacts/{lead}/funnels/default", handle: serveFunnel, classes: []string{LimitFunnel}, lead: LimitFunnelLead},
		{name: "PUT /platform/contacts/{lead}/funnels/default", handle: servePutFunnel, classes: []string{LimitFunnel}, lead: LimitFunnelLead},
	}
}

func assetRoutes() []*route {
	routes := []*route{}
	add := func(class, name string, handle func(*Account, *request) reply) {
		r := &route{name: name, handle: handle}
		if class != "" {
			r.classes = []string{class}
		}
		routes = append(routes, r)
	}
	add(LimitEmails, "GET /platform/emails", serveAssets(Emails, maxPageSize, wrapEmails))
	add(LimitEmails, "GET /platform/emails/{id}", serveEmail)
	add(LimitLandingPages, "GET /platform/landing_pages", serveAssets(LandingPages, maxPageSize, wrapPages))
	add(LimitPopups, "GET /platform/popups", serveAssets(Popups, maxPageSize, wrapPopups))
	add(LimitForms, "GET /platform/embeddables", serveAssets(Forms, maxPageSize, wrapPages))
	add(LimitWorkflows, "GET /platform/workflows", serveAssets(Workflows, maxPageSize, wrapWorkflows))
	add(LimitWorkflow, "GET /platform/workflows/{id}", serveWorkflow)
	add(LimitWorkflowLeads, "POST /platform/workflows/{id}/leads", serveWorkflowLeads)
	add(LimitAnalyticsEmails, "GET /platform/analytics/emails", serveReport(EmailReport, "emails", finishEmails, Pro, Advanced))
	add(LimitAnalyticsFlows, "GET /platform/analytics/workflow_emails", serveReport(WorkflowReport, "workflow_email_statistics", finishWorkflowEmails, Pro, Advanced))
	add(LimitAnalyticsAssets, "GET /platform/analytics/conversions", serveReport(ConversionReport, "conversions", finishConversions, Pro, Advanced))
	add(LimitAnalyticsFunnel, "GET /platform/analytics/funnel", serveReport(FunnelReport, "funnel", finishFunnel, Advanced))
	add("", "GET /platform/campaigns", serveCampaigns)
	add("", "GET /platform/campaigns/{id}", serveCampaign)
	add("", "GET /platform/campaigns/{id}/items", serveCampaignItems)
	add("", "GET /platform/catalog_feeds", serveFeeds)
	add("", "POST /platform/catalog_feeds", serveCreateFeed)
	add("", "GET /platform/catalog_feeds/{id}", serveFeed)
	add("", "PATCH /platform/catalog_feeds/{id}", servePatchFeed)
	add("", "DELETE /platform/catalog_feeds/{id}", serveDeleteFeed)
	return routes
}

func crmV2Routes() []*route {
	routes := []*route{}
	add := func(name string, handle func(*Account, *request) reply) {
		method, path, _ := strings.Cut(name, " ")
		routes = append(routes, &route{name: method + " /crm/v2" + path, surface: crmSurface, handle: handle, classes: []string{LimitCRMv2}})
	}
	entity := func(path string, entity, parent Entity, methods string) {
		one := path + "/{id}"
		for _, method := range strings.Fields(methods) {
			switch method {
			case "LIST":
				add("GET "+path, serveCRMList(entity, parent))
			case "POST":
				add("POST "+path, serveCRMCreate(entity, parent))
			case "GET":
				add("GET "+one, serveCRMGet(entity, parent))
			case "PUT":
				add("PUT "+one, serveCRMPut(entity, parent))
			case "DELETE":
				add("DELETE "+one, serveCRMDelete(entity, parent))
			}
		}
	}
	for _, e := range []Entity{CRMContacts, CRMDeals, CRMOrganizations, CRMTasks, CRMProducts, CRMPipelines, CRMCampaigns, CRMSources, CRMLostReasons, CRMSegments} {
		entity("/"+string(e), e, "", "LIST POST GET PUT")
	}
	entity("/custom_fields", CRMCustomFields, "", "LIST POST GET PUT DELETE")
	entity("/deals/{deal}/notes", CRMNotes, CRMDeals, "LIST POST")
	entity("/deals/{deal}/products", CRMDealProducts, CRMDeals, "LIST POST PUT DELETE")
	entity("/pipelines/{pipeline}/stages", CRMStages, CRMPipelines, "LIST POST GET PUT")
	add("GET /users", serveUsersV2)
	add("GET /teams", serveTeamsV2)
	add("GET /webhooks", serveHooksV2)
	add("POST /webhooks", serveCreateHookV2)
	add("GET /webhooks/{uuid}", serveHookV2)
	add("PUT /webhooks/{uuid}", servePutHookV2)
	add("DELETE /webhooks/{uuid}", serveDeleteHookV2)
	return routes
}

func crmV1Routes() []*route {
	routes := []*route{}
	add := func(name string, handle func(*Account, *request) reply) {
		method, path, _ := strings.Cut(name, " ")
		routes = append(routes, &route{name: method + " /api/v1" + path, surface: crmV1Surface, handle: handle, classes: []string{LimitCRMv1}})
	}
	all := func(path string, list, one, write func(*Account, *request) reply) {
		add("GET "+path, list)
		add("GET "+path+"/{id}", one)
		if write != nil {
			add("POST "+path, write)
			add("PUT "+path+"/{id}", write)
		}
	}
	add("GET /token/check", serveTokenCheck)
	all("/contacts", serveContactsV1, serveContactV1, serveWriteContactV1)
	all("/deals", serveDealsV1, serveDealV1, serveWriteDealV1)
	add("GET /deals/{id}/contacts", serveDealContactsV1)
	add("GET /deals/{id}/deal_products", serveDealProductsV1)
	add("POST /deals/{id}/deal_products", serveCreateDealProductV1)
	add("PUT /deals/{id}/deal_products/{product}", servePutDealProductV1)
	add("DELETE /deals/{id}/deal_products/{product}", serveDeleteDealProductV1)
	all("/organizations", serveOrganizationsV1, serveOrganizationV1, serveWriteOrganizationV1)
	add("GET /organizations/{id}/contacts", serveOrganizationContactsV1)
	add("GET /activities", serveActivities)
	add("POST /activities", serveCreateActivity)
	all("/tasks", serveTasksV1, serveTaskV1, serveWriteTaskV1)
	all("/products", serveProductsV1, serveProductV1, serveWriteProductV1)
	all("/users", serveUsersV1, serveUserV1, nil)
	all("/teams", serveTeamsV1, serveTeamV1, nil)
	all("/deal_pipelines", servePipelinesV1, servePipelineV1, serveWritePipelineV1)
	all("/deal_stages", serveStagesV1, serveStageV1, serveWriteStageV1)
	all("/custom_fields", serveCustomFieldsV1, serveCustomFieldV1, serveWriteCustomFieldV1)
	add("DELETE /custom_fields/{id}", serveDeleteCustomFieldV1)
	all("/campaigns", serveNamedV1(CRMCampaigns, "campaigns"), serveOneNamedV1(CRMCampaigns), serveWriteNamedV1(CRMCampaigns, "campaign"))
	all("/deal_sources", serveNamedV1(CRMSources, "deal_sources"), serveOneNamedV1(CRMSources), serveWriteNamedV1(CRMSources, "deal_source"))
	all("/deal_lost_reasons", serveNamedV1(CRMLostReasons, "deal_lost_reasons"), serveOneNamedV1(CRMLostReasons), serveWriteNamedV1(CRMLostReasons, "deal_lost_reason"))
	add("GET /webhooks", serveHooks)
	add("POST /webhooks", serveCreateHookV1)
	add("GET /webhooks/{uuid}", serveHook)
	add("PUT /webhooks/{uuid}", servePutHookV1)
	add("DELETE /webhooks/{uuid}", serveDeleteHookV1)
	return routes
}
