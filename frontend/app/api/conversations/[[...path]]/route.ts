export { forward as GET, forward as DELETE } from "@/lib/server/backend";
