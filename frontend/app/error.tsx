"use client";

export { UnavailablePage as default } from "@/components/unavailable-page";
